// Serves the film club to this machine: bundles the page, as browsers do not find npm's packages by name, and hands it out from memory.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const HOST = '127.0.0.1'
const PORT = Number(process.env.PORT ?? 8080)
const page = (name) => fileURLToPath(new URL(`page/${name}`, import.meta.url))

const { outputFiles } = await build({ entryPoints: [page('main.js')], bundle: true, format: 'esm', target: 'es2023', minify: true, write: false, logLevel: 'error' })
// How generated code of the client asks for the global object, which the policy below does not let it.
const script = outputFiles[0].text.replaceAll(/Function\(["'`]return this["'`]\)\(\)/g, 'globalThis')

const files = {
  '/': ['text/html', await readFile(page('index.html'))],
  '/style.css': ['text/css', await readFile(page('style.css'))],
  '/main.js': ['text/javascript', script],
}

// Nothing comes from anywhere else, and the page talks to nodes only, wherever they are.
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const server = createServer(({ method, url }, answer) => {
  const found = files[url.split('?')[0]]
  if (!found || !['GET', 'HEAD'].includes(method)) return answer.writeHead(found ? 405 : 404).end()
  const [type, content] = found
  const headers = { 'content-type': `${type}; charset=utf-8`, 'content-length': Buffer.byteLength(content), 'content-security-policy': POLICY, 'cache-control': 'no-store' }
  answer.writeHead(200, headers).end(method === 'GET' ? content : undefined)
})

server.on('error', (error) => {
  console.error(error.code === 'EADDRINUSE' ? `Port ${PORT} is taken: choose another one, as in PORT=8081 npm start` : error.message)
  process.exitCode = 1
})
server.listen(PORT, HOST, () => console.log(`The film club is at http://${HOST}:${server.address().port}`))
