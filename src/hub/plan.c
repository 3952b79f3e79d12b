/*
 * What shared memory of some size would have: for checks of a configuration,
 * before there is a hub.
 */
#include "hub/hub.h"
#include "zone/zone.h"

void
lnt_hub_plan(size_t zone_size, struct lnt_zone_usage *u)
{
    lnt_zone_plan(zone_size, u);
}
