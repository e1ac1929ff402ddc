/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists and tuples: one array of values, grown by half. A short one starts behind its own head, so that a pair is one
   block. Invariant: a list that is shared is never written; whoever wants to write calls list_own first. */
#include <string.h>

#include "heap.h"

#define NEAR_MOST 30

static List *allocate(int64_t room)
{
    if (room < 0 || room > INT64_MAX / 32)
        return NULL;
    int32_t near = room <= NEAR_MOST ? (int32_t)room : 0;
    List *list = heap_take(sizeof *list + (size_t)near * sizeof(Value));
    if (!list)
        return NULL;
    *list = (List){.refs = 1, .near = near, .room = room, .at = list->item};
    if (near == room)
        return list;
    list->at = heap_take((size_t)room * sizeof *list->at);
    if (list->at)
        return list;
    heap_delete(list, sizeof *list);
    return NULL;
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
    if (list->at != list->item)
        heap_give(list->at, (size_t)list->room * sizeof *list->at);
    heap_delete(list, sizeof *list + (size_t)list->near * sizeof(Value));
}

static bool grow(List *list)
{
    int64_t room = list->room < 4 ? 4 : list->room + list->room / 2;
    bool near = list->at == list->item;
    if (room > INT64_MAX / 32)
        return false;
    Value *at = heap_resize(near ? NULL : list->at, (size_t)list->room * sizeof *at, (size_t)room * sizeof *at);
    if (!at)
        return false;
    if (near)
        memcpy(at, list->item, (size_t)list->count * sizeof *at);
    list->at = at;
    list->room = room;
    return true;
}

bool list_push_take(List *list, Value owned)
{
    if (list->count == list->room && !grow(list)) {
        value_release(owned);
        return false;
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
