/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists and tuples: one array of values, grown by half. Invariant: a list that is shared is never written; whoever
   wants to write calls list_own first. */
#include <stdlib.h>
#include <string.h>

#include "heap.h"

static List *allocate(int64_t room)
{
    if (room < 0 || room > INT64_MAX / 32)
        return NULL;
    List *list = heap_new(sizeof *list);
    if (!list)
        return NULL;
    if (room) {
        list->at = malloc((size_t)room * sizeof *list->at);
        if (!list->at) {
            heap_delete(list);
            return NULL;
        }
        list->room = room;
    }
    return list;
}

Value list_new(int64_t room)
{
    List *list = allocate(room);
    return list ? (Value){.tag = TAG_LIST, .list = list} : VALUE_UNDEFINED;
}

Value tuple_new(int64_t count)
{
    List *list = allocate(count);
    if (!list)
        return VALUE_UNDEFINED;
    for (int64_t i = 0; i < count; i++)
        list->at[i] = VALUE_NONE;
    list->count = count;
    return (Value){.tag = TAG_TUPLE, .list = list};
}

void list_free(List *list)
{
    for (int64_t i = 0; i < list->count; i++)
        value_release(list->at[i]);
    free(list->at);
    heap_delete(list);
}

bool list_push_take(List *list, Value owned)
{
    if (list->count == list->room) {
        int64_t room = list->room < 4 ? 4 : list->room + list->room / 2;
        Value *at = room > INT64_MAX / 32 ? NULL : realloc(list->at, (size_t)room * sizeof *at);
        if (!at) {
            value_release(owned);
            return false;
        }
        list->at = at;
        list->room = room;
    }
    list->at[list->count++] = owned;
    return true;
}

Value list_own(Value *slot)
{
    if (slot->list->refs == 1)
        return *slot;
    List *shared = slot->list, *own = allocate(shared->count);
    if (!own)
        return VALUE_UNDEFINED;
    for (int64_t i = 0; i < shared->count; i++)
        own->at[i] = value_retain(shared->at[i]);
    own->count = shared->count;
    shared->refs--;
    slot->list = own;
    return *slot;
}
