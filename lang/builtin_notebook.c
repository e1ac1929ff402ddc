/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a notebook offers beside showing: clearing a cell's output, the pager, the next cell, and comms. A comm belongs to
   whoever opened it; its handler is kept in the VM by its id, a target's by its name, until the one is closed and the
   other taken away. What a front end does not offer falls back to showing, or is an error that says so. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bridge.h"
#include "builtins.h"
#include "display.h"
#include "print.h"
#include "textfile.h"

#define MOST_BUFFERS 64

bool native_clear_output(Vm *vm, const Value *args, Value *result)
{
    const SessionConfig *config = vm_config(vm);
    if (config && config->clear) config->clear(config->user, args[0].b);
    *result = VALUE_NONE;
    return true;
}

bool native_page(Vm *vm, const Value *args, Value *result)
{
    const SessionConfig *config = vm_config(vm);
    Display *display = display_of(vm, args[0], display_forms(vm));
    if (!display) return false;
    if (config && config->page) config->page(config->user, display);
    else display_send(vm, display);
    display_free(display);
    *result = VALUE_NONE;
    return true;
}

bool native_next_input(Vm *vm, const Value *args, Value *result)
{
    const SessionConfig *config = vm_config(vm);
    const String *text = args[0].string;
    *result = VALUE_NONE;
    if (config && config->next_input) {
        config->next_input(config->user, text->text, args[1].b);
        return true;
    }
    return vm_output(vm, OUTPUT_OUT, text->text, text->length) && vm_output(vm, OUTPUT_OUT, "\n", 1);
}

/* ---- markup as text ---- */

static const struct { const char *entity, *text; } entities[] = {
    {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&nbsp;", " "},
};

static bool is_tag(const char *at, const char *name)
{
    size_t length = strlen(name);
    return strncasecmp(at, name, length) == 0 && strchr(" \t\r\n/>", at[length]) != NULL;
}

/* Past the tag, comment or hidden element at [at], which begins with '<'. */
static const char *after_tag(const char *at)
{
    static const char *const hidden[][2] = {{"style", "</style"}, {"script", "</script"}};
    const char *end = NULL;
    if (strncmp(at, "<!--", 4) == 0) {
        end = strstr(at, "-->");
        return end ? end + 3 : at + strlen(at);
    }
    for (int i = 0; i < 2; i++)
        if (is_tag(at + 1, hidden[i][0]) && (end = strcasestr(at, hidden[i][1]))) at = end;
    end = strchr(at, '>');
    return end ? end + 1 : at + strlen(at);
}

/* What stands for a tag in plain text: a new line for one that begins or ends a block, a gap between cells. */
static void add_gap(Text *text, const char *tag)
{
    static const char *const ends[] = {"br", "p", "/p", "/div", "/tr", "/li", "/h1", "/h2", "/h3", "/h4", "/table", "/pre"};
    if (is_tag(tag, "/td") || is_tag(tag, "/th")) {
        text_add(text, "  ", 2);
        return;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (is_tag(tag, ends[i]) && text->length && text->at[text->length - 1] != '\n') {
            text_add(text, "\n", 1);
            return;
        }
}

bool native__plain(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    for (const char *at = args[0].string->text; *at;) {
        size_t plain = strcspn(at, "<&"), entity = 0, count = sizeof entities / sizeof *entities;
        text_add(&text, at, plain);
        at += plain;
        if (*at == '<') {
            add_gap(&text, at + 1);
            at = after_tag(at);
        } else if (*at) {
            while (entity < count && strncmp(at, entities[entity].entity, strlen(entities[entity].entity)) != 0) entity++;
            text_string(&text, entity < count ? entities[entity].text : "&");
            at += entity < count ? strlen(entities[entity].entity) : 1;
        }
    }
    while (text.length && (text.at[text.length - 1] == '\n' || text.at[text.length - 1] == ' ')) text.length--;
    return native_give_text(vm, &text, result);
}

/* ---- comms ---- */

static Map *registry(Vm *vm, Value *slot)
{
    if (slot->tag != TAG_MAP) *slot = map_new();
    if (slot->tag == TAG_MAP) return slot->map;
    vm_out_of_memory(vm);
    return NULL;
}

static bool check_handler(Vm *vm, const char *function, Value handler)
{
    return handler.tag == TAG_NONE || native_is_callable(handler) ||
           native_wants(vm, function, "handler", "a function of (id, message)", handler);
}

/* Sets, or with none removes, the handler of a name. */
static bool keep_handler(Vm *vm, Value *slot, Value name, Value handler, bool even_none)
{
    Map *map = registry(vm, slot);
    if (!map) return false;
    if (handler.tag == TAG_NONE && !even_none) {
        map_remove(map, name);
        return true;
    }
    return map_set_take(map, name, value_retain(handler)) || vm_out_of_memory(vm);
}

bool native_comm_register(Vm *vm, const Value *args, Value *result)
{
    *result = VALUE_NONE;
    return check_handler(vm, "comm_register", args[1]) &&
           keep_handler(vm, &vm_native_state(vm)->comm_targets, args[0], args[1], false);
}

/* The tensors' bytes, densely; [held] are to be released. */
static bool take_buffers(Vm *vm, const char *function, Value buffers, CommBuffer *to, Tensor **held, int *count)
{
    *count = 0;
    if (buffers.tag == TAG_NONE) return true;
    if (!native_is_row(buffers)) return native_wants(vm, function, "buffers", "a list of tensors", buffers);
    if (buffers.list->count > MOST_BUFFERS)
        return vm_fail(vm, ERROR_value, function, "a message takes %d buffers at most", MOST_BUFFERS);
    for (int64_t i = 0; i < buffers.list->count; i++) {
        Value v = buffers.list->at[i];
        if (v.tag != TAG_TENSOR) return native_wants(vm, function, "a buffer", "a tensor", v);
        Tensor *dense = tensor_contiguous(vm_tensors(vm), v.tensor);
        if (!dense) return false;
        held[*count] = dense;
        to[(*count)++] = (CommBuffer){dense->data, (size_t)tensor_size(dense) * dtype_size((Dtype)dense->dtype)};
    }
    return true;
}

/* [message] has event, id and target; data and buffers come from the arguments. */
static bool send_comm(Vm *vm, const char *function, CommMessage message, Value data, Value buffers)
{
    const SessionConfig *config = vm_config(vm);
    CommBuffer buffer[MOST_BUFFERS];
    Tensor *held[MOST_BUFFERS];
    Text text = {0};
    if (!config || !config->comm) {
        vm_fail(vm, ERROR_io, function, "there is no page to talk to");
        error_hint(&vm_tensors(vm)->error, "comms are channels of notebooks");
        return false;
    }
    bool fine = take_buffers(vm, function, buffers, buffer, held, &message.n_buffers);
    if (fine && data.tag == TAG_NONE) text_add(&text, "{}", 2);
    else fine = fine && json_write(vm, function, data, &text);
    if (fine && text.failed) fine = vm_out_of_memory(vm);
    if (fine) {
        message.data = text.at;
        message.length = text.length;
        message.buffer = buffer;
        config->comm(config->user, &message);
    }
    for (int i = 0; i < message.n_buffers; i++) tensor_release(held[i]);
    text_free(&text);
    return fine;
}

static bool is_open(Vm *vm, const char *function, const char *id)
{
    Value comms = vm_native_state(vm)->comms, found;
    return (comms.tag == TAG_MAP && map_get_text(comms.map, id, &found)) ||
           vm_fail(vm, ERROR_value, function, "no comm \"%.80s\" is open", id);
}

bool native_comm_open(Vm *vm, const Value *args, Value *result)
{
    unsigned char random[16];
    char id[2 * sizeof random + 1];
    if (!check_handler(vm, "comm_open", args[2])) return false;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return vm_fail(vm, ERROR_io, "comm_open", "the system gives no random bytes");
    for (size_t i = 0; i < sizeof random; i++) snprintf(id + 2 * i, 3, "%02x", random[i]);
    Value name = string_from(id);
    if (name.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    CommMessage message = {.event = COMM_OPEN, .id = id, .target = args[0].string->text};
    bool fine = send_comm(vm, "comm_open", message, args[1], args[3]) &&
                keep_handler(vm, &vm_native_state(vm)->comms, name, args[2], true);
    if (fine) *result = name;
    else value_release(name);
    return fine;
}

bool native_comm_send(Vm *vm, const Value *args, Value *result)
{
    const char *id = args[0].string->text;
    *result = VALUE_NONE;
    return is_open(vm, "comm_send", id) &&
           send_comm(vm, "comm_send", (CommMessage){.event = COMM_MESSAGE, .id = id}, args[1], args[2]);
}

bool native_comm_close(Vm *vm, const Value *args, Value *result)
{
    const char *id = args[0].string->text;
    *result = VALUE_NONE;
    return is_open(vm, "comm_close", id) &&
           send_comm(vm, "comm_close", (CommMessage){.event = COMM_CLOSE, .id = id}, args[1], VALUE_NONE) &&
           keep_handler(vm, &vm_native_state(vm)->comms, args[0], VALUE_NONE, false);
}

/* ---- messages that come in ---- */

static bool buffers_value(Vm *vm, const CommMessage *message, Value *list)
{
    *list = list_new(message->n_buffers);
    if (list->tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    for (int i = 0; i < message->n_buffers; i++) {
        int64_t size = (int64_t)message->buffer[i].length;
        Tensor *bytes = tensor_from_data(vm_tensors(vm), DTYPE_u8, 1, &size, message->buffer[i].at);
        if (!bytes || !list_push_take(list->list, value_from_tensor_take(bytes))) {
            if (vm_tensors(vm)->error.kind == ERROR_NONE) vm_out_of_memory(vm);
            value_set(list, VALUE_UNDEFINED);
            return false;
        }
    }
    return true;
}

static bool set_field(Vm *vm, Map *map, const char *name, Value owned)
{
    Value key = string_from(name);
    bool fine = key.tag != TAG_UNDEFINED && map_set_take(map, key, owned);
    if (key.tag == TAG_UNDEFINED) value_release(owned);
    value_release(key);
    return fine || vm_out_of_memory(vm);
}

/* {event, data, buffers} */
static bool message_value(Vm *vm, const CommMessage *message, Value *map)
{
    static const char *const events[] = {[COMM_OPEN] = "open", [COMM_MESSAGE] = "message", [COMM_CLOSE] = "close"};
    Value data, buffers, event;
    if (!json_read(vm, "comm", message->data, message->length, &data)) return false;
    *map = map_new();
    bool fine = map->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    if (!fine) {
        value_release(data);
        return false;
    }
    event = string_from(events[message->event]);
    if (event.tag == TAG_UNDEFINED) fine = vm_out_of_memory(vm);
    else fine = set_field(vm, map->map, "event", event);
    if (fine) fine = set_field(vm, map->map, "data", data);
    else value_release(data);
    fine = fine && buffers_value(vm, message, &buffers) && set_field(vm, map->map, "buffers", buffers);
    if (!fine) value_set(map, VALUE_UNDEFINED);
    return fine;
}

/* *handler is owned; none: the comm is known and nobody listens. */
static bool find_handler(Vm *vm, const CommMessage *message, Value *handler)
{
    NativeState *state = vm_native_state(vm);
    Value where = message->event == COMM_OPEN ? state->comm_targets : state->comms, found;
    const char *name = message->event == COMM_OPEN ? message->target : message->id;
    if (where.tag != TAG_MAP || !map_get_text(where.map, name, &found)) return false;
    *handler = value_retain(found);
    return true;
}

static bool call_handler(Vm *vm, Value handler, Value id, const CommMessage *message)
{
    Value arguments[2] = {id}, result;
    if (!message_value(vm, message, &arguments[1])) return false;
    bool fine = vm_call(vm, handler, 2, arguments, 0, NULL, &result);
    if (fine) value_release(result);
    value_release(arguments[1]);
    return fine;
}

bool comm_receive(Vm *vm, const CommMessage *message, bool *known)
{
    Value handler, id;
    *known = find_handler(vm, message, &handler);
    if (!*known) return true;
    id = string_from(message->id);
    bool fine = id.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    Value *comms = &vm_native_state(vm)->comms;
    if (fine && message->event == COMM_OPEN) fine = keep_handler(vm, comms, id, handler, true);
    if (fine && message->event == COMM_CLOSE) fine = keep_handler(vm, comms, id, VALUE_NONE, false);
    if (fine && handler.tag != TAG_NONE) fine = call_handler(vm, handler, id, message);
    value_release(id);
    value_release(handler);
    return fine;
}
