#include "scene/read/check.h"

#include <stdarg.h>
#include <string.h>

enum { MAX_FINDINGS = 5000 };

void kn_report_add(kn_report *report, bool is_error, const char *file, int line, const char *format, ...) {
    if (!report) return;
    kn_finding finding = {.is_error = is_error, .line = line};
    snprintf(finding.file, sizeof finding.file, "%s", file ? file : "");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding.message, sizeof finding.message, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < report->count; i++) {
        const kn_finding *other = &report->findings[i];
        if (other->is_error == is_error && !strcmp(other->message, finding.message) &&
            !strcmp(other->file, finding.file)) {
            if (other->line != line) report->repeats[i]++;
            return;
        }
    }
    if (report->count >= MAX_FINDINGS ||
        !kn_grow(&report->findings, &report->capacity, report->count + 1, sizeof *report->findings, NULL) ||
        !kn_grow(&report->repeats, &report->repeat_capacity, report->count + 1, sizeof *report->repeats, NULL)) {
        report->lost = true;
        return;
    }
    report->findings[report->count] = finding;
    report->repeats[report->count++] = 0;
}

bool kn_report_file(kn_report *report, const void *data, size_t size, kn_error *error) {
    if (!report) return true;
    if (!kn_grow(&report->files, &report->file_capacity, report->file_count + 1, sizeof *report->files, error))
        return false;
    kn_sha256_hex(data, size, report->files[report->file_count++]);
    return true;
}

void kn_report_close(kn_report *report) {
    for (size_t i = 0; i < report->count; i++) {
        char *message = report->findings[i].message;
        size_t length = strlen(message);
        if (report->repeats[i])
            snprintf(message + length, sizeof report->findings[i].message - length, " (and %u more)",
                     report->repeats[i]);
        report->repeats[i] = 0;
    }
    kn_free(report->repeats);
    report->repeats = NULL;
    report->repeat_capacity = 0;
}

void kn_report_finish(kn_report *report) {
    kn_free(report->findings);
    kn_free(report->repeats);
    kn_free(report->files);
    *report = (kn_report){0};
}

void kn_findings_free(kn_finding *findings) { kn_free(findings); }
