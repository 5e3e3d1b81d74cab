throw 'sikkerkey: it''s over: ask for "another" $(command) `now` \ %s’’'
