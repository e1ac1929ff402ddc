/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about files: :load, :reload, :edit and :save. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assist.h"
#include "builtins.h"
#include "command.h"
#include "embedded.h"
#include "textfile.h"

/* ---- :load, :reload ---- */

static bool load_path(CommandCall *call, const char *path)
{
    Session *session = call->session;
    size_t length;
    int64_t stamp = module_stamp(path);
    char *text = module_read(session->vm, path, &length);
    if (!text) return false;
    session_run_text(session, path, text, length, EVAL_SCRIPT, call->result);
    free(text);
    if (call->result->status == EVAL_OK && !session_note_loaded(session, path, stamp))
        return vm_out_of_memory(session->vm);
    return call->result->status == EVAL_OK;
}

static char *home_path(const char *path)
{
    const char *home = getenv("HOME");
    char *made = NULL;
    if (path[0] != '~' || path[1] != '/' || !home) return strdup(path);
    return asprintf(&made, "%s%s", home, path + 1) < 0 ? NULL : made;
}

bool command_load(CommandCall *call)
{
    char *path = home_path(call->argument);
    bool fine = path ? load_path(call, path) : vm_out_of_memory(call->session->vm);
    free(path);
    return fine;
}

bool command_reload(CommandCall *call)
{
    Session *session = call->session;
    Text out = {0};
    int count = 0;
    bool fine = true;
    for (Module *module = session->vm->modules; fine && module; module = module->next) {
        if (module->library || !module->path || !module->source || module->loading) continue;
        if (module_stamp(module->path) == module->stamp) continue;
        fine = module_reload(session->vm, module);
        if (fine) text_format(&out, "%sreloaded %s", count++ ? "\n" : "", module->path);
    }
    for (Loaded *loaded = session->loaded; fine && loaded; loaded = loaded->next) {
        if (module_stamp(loaded->path) == loaded->stamp) continue;
        fine = load_path(call, loaded->path);
        if (fine) text_format(&out, "%sloaded %s again", count++ ? "\n" : "", loaded->path);
    }
    if (fine && !count) text_format(&out, "no file has changed");
    if (fine) return command_answer(call, &out);
    text_free(&out);
    return false;
}

/* ---- :edit ---- */

static bool is_path(const char *text)
{
    size_t length = strlen(text);
    return strchr(text, '/') || (length > 4 && !strcmp(text + length - 4, ".tsr"));
}

static bool open_editor(Session *session, const char *path, int line)
{
    char *error = NULL;
    if (session->config.edit(session->config.user, path, line, &error)) return true;
    vm_fail(session->vm, ERROR_io, "", "the editor failed: %s", error ? error : "no memory is left");
    free(error);
    return false;
}

static bool write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(file, text, length);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        text += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

/* Runs what the user made of [text] in the editor, unless nothing was changed. */
static bool edit_text(CommandCall *call, const char *text)
{
    Session *session = call->session;
    char path[] = "/tmp/tessera-XXXXXX.tsr";
    int file = mkstemps(path, 4);
    size_t length = 0;
    if (file < 0) return vm_fail(session->vm, ERROR_io, "", "cannot make a file to edit: %s", strerror(errno));
    bool fine = write_all(file, text, strlen(text));
    close(file);
    if (!fine) vm_fail(session->vm, ERROR_io, "", "cannot write %s: %s", path, strerror(errno));
    fine = fine && open_editor(session, path, 1);
    char *made = fine ? module_read(session->vm, path, &length) : NULL;
    unlink(path);
    if (!made) return false;
    if (strcmp(made, text) != 0) {
        record_edited(&session->records, made, length);
        session_run_text(session, call->input, made, length, EVAL_INTERACTIVE, call->result);
    }
    free(made);
    return call->result->status == EVAL_OK;
}

static bool edit_path(CommandCall *call, const char *path, int line)
{
    if (!call->session->config.edit)
        return vm_fail(call->session->vm, ERROR_io, "", "there is no editor for files here");
    return open_editor(call->session, path, line) && load_path(call, path);
}

/* A function of a file that the session uses is edited there. */
static bool edit_used(CommandCall *call, const Proto *proto, bool *found)
{
    uint32_t line, column;
    *found = false;
    for (Module *module = call->session->vm->modules; module; module = module->next)
        if (!module->library && module->path && module->source == proto->source) {
            *found = true;
            source_locate(proto->source, proto->span.start, &line, &column);
            return open_editor(call->session, module->path, (int)line) &&
                   (module_stamp(module->path) == module->stamp || module_reload(call->session->vm, module));
        }
    return true;
}

bool command_edit(CommandCall *call)
{
    Session *session = call->session;
    const SessionConfig *config = &session->config;
    size_t length = strlen(call->argument);
    bool found = false;
    char *text = NULL;
    if (is_path(call->argument)) {
        char *path = home_path(call->argument);
        bool fine = path ? edit_path(call, path, 1) : vm_out_of_memory(session->vm);
        free(path);
        return fine;
    }
    if (!config->edit && !config->next_input)
        return vm_fail(session->vm, ERROR_io, "", "there is no editor here");
    Value v = assist_chain_value(session->vm, call->argument, 0, length);
    const Proto *proto = v.tag == TAG_MODEL ? v.model->constructor
                       : v.tag == TAG_FUNCTION && v.function->kind == FUNCTION_CLOSURE ? v.function->proto : NULL;
    bool fine = !proto || !config->edit || edit_used(call, proto, &found);
    if (found) return fine;
    text = session_source(session, call->argument);
    if (!text && asprintf(&text, "fn %s() {\n}\n", call->argument) < 0) return vm_out_of_memory(session->vm);
    if (config->edit) fine = edit_text(call, text);
    else config->next_input(config->user, text, false);
    free(text);
    return fine;
}

/* ---- :save ---- */

static void comment(Text *out, const char *text, size_t length)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end ? (size_t)(end - text) : length;
        text_format(out, "# %.*s\n", (int)line, text);
        text += line + (end != NULL);
        length -= line + (end != NULL);
    }
}

/* One input as part of a script: commands, and what failed, as comments. */
static void add_input(Text *out, const Record *record)
{
    size_t length = strlen(record->input);
    Piece piece;
    if (record->error) {
        text_format(out, "# %s error:\n", record->error_kind ? record->error_kind : "an");
        comment(out, record->input, length);
        return;
    }
    for (size_t at = 0; command_piece(record->input, length, at, &piece); at = piece.end)
        if (piece.is_command) {
            comment(out, record->input + piece.start, piece.end - piece.start);
        } else {
            size_t end = piece.end;
            while (end > piece.start && record->input[end - 1] == '\n') end--;
            text_format(out, "%.*s\n", (int)(end - piece.start), record->input + piece.start);
        }
}

static bool save_script(CommandCall *call, const char *path)
{
    const Records *records = &call->session->records;
    Text out = {0};
    int missing = records->first ? records->first->number - 1 : 0;
    if (missing) text_format(&out, "# %d earlier inputs were not kept\n", missing);
    for (const Record *record = records->first; record && record != records->last; record = record->next)
        add_input(&out, record);
    bool fine = (!out.failed || vm_out_of_memory(call->session->vm)) &&
                path_write_bytes(call->session->vm, ":save", path, false, out.at ? out.at : "", out.length);
    text_free(&out);
    return fine;
}

bool command_save(CommandCall *call)
{
    size_t length = strlen(call->argument);
    bool notebook = length > 6 && !strcmp(call->argument + length - 6, ".ipynb");
    if (!notebook && !(length > 4 && !strcmp(call->argument + length - 4, ".tsr"))) {
        vm_fail(call->session->vm, ERROR_argument, "", ":save writes .tsr or .ipynb, not %.100s", call->argument);
        error_hint(&call->session->vm->tensors.error,
                   "such as :save session.tsr, the inputs as a script, or :save session.ipynb, with their outputs");
        return false;
    }
    char *path = home_path(call->argument);
    if (!path) return vm_out_of_memory(call->session->vm);
    Text out = {0};
    const Records *records = &call->session->records;
    int inputs = records->last ? records->last->number - records->first->number : 0;
    bool fine = notebook ? notebook_save(call->session, path) : save_script(call, path);
    text_format(&out, "wrote %d input%s to %s", inputs, inputs == 1 ? "" : "s", path);
    free(path);
    if (fine) return command_answer(call, &out);
    text_free(&out);
    return false;
}
