#!/bin/sh
printf '%s\n' 'sikkerkey: it'\''s over: ask for another' >&2
exit 1
