#!/bin/sh
printf '%s\n' 'sikkerkey: it'\''s over: ask for "another" $(command) `now` \ %s’' >&2
exit 1
