// Rules in JavaScript, behind a few functions that pass bytes. Built into engine.wasm by scripts/build-judge-engine.
//
// The module imports nothing: there is no clock, no randomness, no file and no way out. The host bounds steps, memory and depth; whatever goes wrong here
// is a trap there, and the instance is thrown away.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs.h"

#define BAD_FILE 8 // errno of WASI

// What became of a rule; the answer says more.
enum outcome {
    ACCEPTED = 0, // `true`; or the object that a filter lets pass, as JSON
    DENIED = 1,   // `false`, `null`, `undefined`
    REASON = 2,   // any other value, as text
    THROWN = 3,   // an exception, as text
    INVALID = 4,  // the source is not the body of a function: why
};

// What the C library would ask its host for. Nothing here writes or closes a file; the clock stands still.
int32_t __imported_wasi_snapshot_preview1_clock_time_get(int32_t clock, int64_t precision, int32_t time) {
    (void)clock, (void)precision;
    memset((void *)time, 0, sizeof(uint64_t));
    return 0;
}

int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t file) {
    (void)file;
    return BAD_FILE;
}

int32_t __imported_wasi_snapshot_preview1_fd_fdstat_get(int32_t file, int32_t stat) {
    (void)file, (void)stat;
    return BAD_FILE;
}

int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t file, int64_t offset, int32_t whence, int32_t position) {
    (void)file, (void)offset, (void)whence, (void)position;
    return BAD_FILE;
}

int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t file, int32_t pieces, int32_t count, int32_t written) {
    (void)file, (void)pieces, (void)count, (void)written;
    return BAD_FILE;
}

static JSContext *context;
static JSValue rule;
static uint8_t *answer;
static uint32_t answer_bytes;

// What depends on anything but the arguments is taken away, and a date needs its time.
static const char PRELUDE[] =
    "delete Math.random;"
    "delete globalThis.queueMicrotask;"
    "(function () {"
    "  var Real = Date;"
    "  function Given() {"
    "    if (!new.target || arguments.length === 0) throw new TypeError('there is no clock');"
    "    return Reflect.construct(Real, arguments, new.target);"
    "  }"
    "  Given.prototype = Real.prototype;"
    "  Object.defineProperty(Real.prototype, 'constructor', { value: Given });"
    "  Given.parse = Real.parse;"
    "  Given.UTC = Real.UTC;"
    "  globalThis.Date = Given;"
    "})();";

__attribute__((export_name("reserve"))) void *reserve(uint32_t bytes) {
    // A zero behind the bytes, as the parser wants it.
    char *memory = malloc((size_t)bytes + 1);
    if (memory != NULL) {
        memory[bytes] = 0;
    }
    return memory;
}

__attribute__((export_name("start"))) int32_t start(void) {
    JSRuntime *runtime = JS_NewRuntime();
    if (runtime == NULL) {
        return 1;
    }
    context = JS_NewContextRaw(runtime);
    if (context == NULL || JS_AddIntrinsicBaseObjects(context) || JS_AddIntrinsicDate(context) || JS_AddIntrinsicEval(context) ||
        JS_AddIntrinsicRegExp(context) || JS_AddIntrinsicJSON(context) || JS_AddIntrinsicMapSet(context) ||
        JS_AddIntrinsicPromise(context)) {
        return 2;
    }
    JS_AddIntrinsicRegExpCompiler(context);
    JSValue done = JS_Eval(context, PRELUDE, sizeof(PRELUDE) - 1, "prelude", JS_EVAL_TYPE_GLOBAL);
    if (JS_IsException(done)) {
        return 3;
    }
    JS_FreeValue(context, done);
    return 0;
}

__attribute__((export_name("answer_at"))) void *answer_at(void) { return answer; }

__attribute__((export_name("answer_length"))) uint32_t answer_length(void) { return answer_bytes; }

static int32_t say(enum outcome outcome, JSValue value) {
    size_t bytes = 0;
    const char *text = JS_ToCStringLen(context, &bytes, value);
    if (text == NULL) {
        text = "a value without a text";
        bytes = strlen(text);
        outcome = outcome == INVALID ? INVALID : THROWN;
    }
    answer = (uint8_t *)text;
    answer_bytes = (uint32_t)bytes;
    return outcome;
}

static int32_t thrown(enum outcome outcome) { return say(outcome, JS_GetException(context)); }

// Nothing where the length is negative. The bytes have a zero behind them.
static JSValue text(const char *at, int32_t bytes) {
    return bytes < 0 ? JS_UNDEFINED : JS_NewStringLen(context, at, (size_t)bytes);
}

static JSValue json(const char *at, int32_t bytes) {
    return bytes < 0 ? JS_UNDEFINED : JS_ParseJSON(context, at, (size_t)bytes, "argument");
}

// Reads the expression of a function, which is called from then on.
__attribute__((export_name("compile"))) int32_t compile(const char *source, int32_t bytes) {
    rule = JS_Eval(context, source, (size_t)bytes, "rule", JS_EVAL_TYPE_GLOBAL);
    if (JS_IsException(rule)) {
        return thrown(INVALID);
    }
    return JS_IsFunction(context, rule) ? ACCEPTED : say(INVALID, JS_NewString(context, "SyntaxError: not the body of a function"));
}

static int32_t call(int32_t count, JSValue *arguments, JSValue *result) {
    for (int32_t index = 0; index < count; index++) {
        if (JS_IsException(arguments[index])) {
            return 0;
        }
    }
    *result = JS_Call(context, rule, JS_UNDEFINED, count, arguments);
    return !JS_IsException(*result);
}

__attribute__((export_name("verdict"))) int32_t verdict(const char *writer, int32_t writer_bytes, const char *event, int32_t event_bytes,
                                                        const char *instance, int32_t instance_bytes) {
    JSValue arguments[] = {text(writer, writer_bytes), json(event, event_bytes), json(instance, instance_bytes)};
    JSValue result;
    if (!call(3, arguments, &result)) {
        return thrown(THROWN);
    }
    if (JS_IsNull(result) || JS_IsUndefined(result)) {
        return DENIED;
    }
    if (JS_IsBool(result)) {
        return JS_ToBool(context, result) ? ACCEPTED : DENIED;
    }
    return say(REASON, result);
}

__attribute__((export_name("filter"))) int32_t filter(const char *reader, int32_t reader_bytes, const char *instance,
                                                      int32_t instance_bytes) {
    JSValue arguments[] = {text(reader, reader_bytes), json(instance, instance_bytes)};
    JSValue result;
    if (!call(2, arguments, &result)) {
        return thrown(THROWN);
    }
    if (JS_IsNull(result) || JS_IsUndefined(result)) {
        return DENIED;
    }
    if (!JS_IsObject(result)) {
        return say(REASON, result);
    }
    JSValue written = JS_JSONStringify(context, result, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsException(written)) {
        return thrown(THROWN);
    }
    return JS_IsUndefined(written) ? DENIED : say(ACCEPTED, written);
}
