#include "pipelines/batch/page.h"

#include <string.h>

/* The page lists what its data hold; filters are the options with at most 30 values, and live in the address after #,
 * so that a view can be linked to. */
static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\">\n"
    "<title>Kinora batch</title>\n<style>\n"
    "body{font:14px system-ui,sans-serif;margin:1.5em;background:#fafafa;color:#222}\n"
    "#filters{display:flex;flex-wrap:wrap;gap:.6em 1em;margin:.8em 0}label{color:#555}select,input{font:inherit}\n"
    "#items{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1em}\n"
    ".item{background:#fff;border:1px solid #ddd;border-radius:6px;overflow:hidden}.item "
    "img{width:100%;display:block;background:#eee}\n"
    ".item div{padding:.5em "
    ".7em}.name{font-weight:600;overflow-wrap:anywhere}.facts{color:#555;font-size:12px;overflow-wrap:anywhere}\n"
    ".failed{border-color:#c33}.refused{border-color:#c80}.why{color:#a00}\n"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}.item{background:#222;border-color:#444}."
    "facts,label{color:#aaa}.why{color:#f88}}\n"
    "</style></head><body>\n<h1>Kinora batch</h1>\n<p id=\"count\"></p>\n<div id=\"filters\"></div>\n<div "
    "id=\"items\"></div>\n"
    "<p class=\"facts\">All pictures are generated (AIGC).</p>\n<script id=\"data\" type=\"application/json\">[";

static const char tail[] =
    "]</script>\n<script>\n'use strict';\n"
    "const data = JSON.parse(document.getElementById('data').textContent);\n"
    "const columns = new Map();\n"
    "for (const item of data) {\n"
    "  item.facts = Object.assign({verb: item.verb, status: item.status}, item.options);\n"
    "  for (const [key, value] of Object.entries(item.facts)) {\n"
    "    if (!columns.has(key)) columns.set(key, new Set());\n"
    "    columns.get(key).add(String(value));\n  }\n}\n"
    "const wanted = new URLSearchParams(location.hash.slice(1));\n"
    "const filters = document.getElementById('filters'), list = document.getElementById('items');\n"
    "function element(tag, text, name) {\n  const made = document.createElement(tag);\n  if (text !== undefined) "
    "made.textContent = text;\n"
    "  if (name) made.className = name;\n  return made;\n}\n"
    "function filter(key, values) {\n  const label = element('label', key + ' '), select = element('select');\n  "
    "select.id = 'filter-' + key;\n"
    "  select.append(new Option('all', ''));\n"
    "  for (const value of [...values].sort((a, b) => a.localeCompare(b, undefined, {numeric: true}))) "
    "select.append(new Option(value, value));\n"
    "  select.value = wanted.get(key) || '';\n"
    "  select.onchange = () => { select.value ? wanted.set(key, select.value) : wanted.delete(key); location.hash = "
    "wanted; show(); };\n"
    "  label.append(select);\n  filters.append(label);\n}\n"
    "for (const [key, values] of columns) if (values.size > 1 && values.size <= 30) filter(key, values);\n"
    "const search = element('input');\nsearch.placeholder = 'name';\nsearch.id = 'search';\nsearch.value = "
    "wanted.get('name') || '';\n"
    "search.oninput = () => { search.value ? wanted.set('name', search.value) : wanted.delete('name'); location.hash = "
    "wanted; show(); };\n"
    "filters.append(search);\n"
    "function card(item) {\n"
    "  const made = element('div', undefined, 'item ' + item.status), text = element('div');\n"
    "  const folder = (item.status === 'done' ? 'items/' : 'set-aside/') + encodeURIComponent(item.name) + '/';\n"
    "  if (item.status !== 'failed') {\n    if ((item.files || []).some(file => file.path === 'sheet.jpg')) {\n"
    "      const picture = element('img');\n      picture.loading = 'lazy';\n      picture.src = folder + "
    "'sheet.jpg';\n      picture.alt = item.name;\n"
    "      made.append(picture);\n    }\n  }\n"
    "  const name = element(item.status === 'failed' ? 'span' : 'a', item.name, 'name');\n  name.href = folder;\n  "
    "text.append(name);\n"
    "  text.append(element('div', Object.entries(item.options || {}).filter(([key]) => columns.get(key).size > 1)\n"
    "    .map(([key, value]) => key + ' ' + value).join(', '), 'facts'));\n"
    "  if (item.metrics) text.append(element('div', Object.entries(item.metrics).filter(([, value]) => typeof value "
    "=== 'number')\n"
    "    .map(([key, value]) => key + ' ' + value.toPrecision(3)).join(', '), 'facts'));\n"
    "  const why = item.error || (item.refused || []).map(one => 'seed ' + one.seed + ': ' + one.missed.join(', "
    "')).join('; ');\n"
    "  if (why) text.append(element('div', why, 'why'));\n"
    "  if (item.seconds !== undefined) text.append(element('div', item.seconds.toFixed(1) + ' s on ' + item.host, "
    "'facts'));\n"
    "  made.append(text);\n  return made;\n}\n"
    "function show() {\n"
    "  const kept = data.filter(item => [...wanted].every(([key, value]) => key === 'name' ? item.name.includes(value) "
    ": String(item.facts[key]) === value));\n"
    "  document.getElementById('count').textContent = kept.length + ' of ' + data.length + ' items';\n"
    "  list.replaceChildren(...kept.slice(0, 2000).map(card));\n"
    "  if (kept.length > 2000) list.append(element('p', 'The first 2000 are shown; use the filters for the "
    "others.'));\n}\n"
    "show();\n</script></body></html>\n";

/* JSON inside a page: nothing may look like the end of the script. */
static void write_data(FILE *stream, const char *text, size_t size) {
    bool first = true;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        fputs(first ? "\n" : ",\n", stream);
        for (size_t i = 0; i < length; i++) {
            if (text[at + i] == '<') fputs("\\u003c", stream);
            else fputc(text[at + i], stream);
        }
        first = false;
        at += length + 1;
    }
}

bool kn_page_write(const kn_store *store, kn_error *error) {
    kn_file_writer writer;
    uint8_t *data = NULL;
    size_t size = 0;
    char *results = kn_path_join(store->folder, "results.jsonl", error),
         *name = kn_format(error, "%s/.index-%s", store->folder, store->token);
    char *final = kn_path_join(store->folder, "index.html", error);
    bool ok = results && name && final && kn_file_read(results, (size_t)1 << 31, &data, &size, error) &&
              kn_file_writer_init(&writer, name, error);
    if (ok) {
        fputs(head, writer.stream);
        write_data(writer.stream, (const char *)data, size);
        fputs(tail, writer.stream);
        ok = kn_file_writer_commit(&writer, error);
    }
    if (ok && rename(name, final) != 0) ok = kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place", final);
    kn_free(data);
    kn_free(results);
    kn_free(name);
    kn_free(final);
    return ok;
}
