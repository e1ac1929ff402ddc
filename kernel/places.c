/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Displays that change in place (places.h). */
#include "places.h"

#include <stdlib.h>

#include "event.h"
#include "output.h"

void places_open(Places *places, PlaceShow *show, void *user, int wake)
{
    *places = (Places){.show = show, .user = user, .wake = wake};
    pthread_mutex_init(&places->lock, NULL);
}

void places_close(Places *places)
{
    places_finish(places);
    pthread_mutex_destroy(&places->lock);
    free(places->at);
}

static void show_waiting(Places *places, Place *place, double now)
{
    places->show(places->user, place->parent, true, place->waiting);
    request_release(place->parent);
    place->waiting = NULL;
    place->parent = NULL;
    place->shown = now;
}

/* NULL: memory is out. */
static Place *place_of(Places *places, int id)
{
    for (int i = 0; i < places->count; i++)
        if (places->at[i].id == id) return &places->at[i];
    if (places->count == places->room) {
        int room = places->room ? 2 * places->room : 8;
        Place *wider = realloc(places->at, (size_t)room * sizeof *wider);
        if (!wider) return NULL;
        places->at = wider;
        places->room = room;
    }
    places->at[places->count] = (Place){.id = id};
    return &places->at[places->count++];
}

void places_put(Places *places, int id, bool update, Request *parent, json_t *content)
{
    double now = seconds_now();
    pthread_mutex_lock(&places->lock);
    Place *place = place_of(places, id);
    if (place) {
        json_decref(place->waiting);
        request_release(place->parent);
        place->waiting = NULL;
        place->parent = NULL;
    }
    if (place && update && now < place->shown + PLACE_INTERVAL) {
        place->waiting = content;
        place->parent = request_retain(parent);
        event_signal(places->wake);
    } else {
        if (place) place->shown = now;
        places->show(places->user, parent, update, content);
    }
    pthread_mutex_unlock(&places->lock);
}

void places_finish(Places *places)
{
    pthread_mutex_lock(&places->lock);
    for (int i = 0; i < places->count; i++)
        if (places->at[i].waiting) show_waiting(places, &places->at[i], 0);
    places->count = 0;
    pthread_mutex_unlock(&places->lock);
}

double places_deadline(Places *places)
{
    double first = NO_DEADLINE;
    pthread_mutex_lock(&places->lock);
    for (int i = 0; i < places->count; i++)
        if (places->at[i].waiting && places->at[i].shown + PLACE_INTERVAL < first)
            first = places->at[i].shown + PLACE_INTERVAL;
    pthread_mutex_unlock(&places->lock);
    return first;
}

void places_tick(Places *places, double now)
{
    pthread_mutex_lock(&places->lock);
    for (int i = 0; i < places->count; i++)
        if (places->at[i].waiting && now >= places->at[i].shown + PLACE_INTERVAL)
            show_waiting(places, &places->at[i], now);
    pthread_mutex_unlock(&places->lock);
}
