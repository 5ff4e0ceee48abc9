#include "base/base.h"

#include <stdarg.h>
#include <string.h>

bool kn_fail(kn_error *error, kn_error_kind kind, const char *format, ...) {
    if (!error) return false;
    va_list args;
    va_start(args, format);
    error->kind = kind;
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return false;
}

bool kn_fail_prefix(kn_error *error, const char *format, ...) {
    if (!error) return false;
    char old[sizeof error->message];
    memcpy(old, error->message, sizeof old);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < sizeof error->message)
        snprintf(error->message + length, sizeof error->message - (size_t)length, ": %s", old);
    return false;
}

void kn_log_line(const kn_log *log, kn_log_level level, const char *format, ...) {
    if (!log || !log->callback || level > log->level) return;
    char line[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->callback(log->user, level, line);
}
