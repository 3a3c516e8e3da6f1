-- Keys, indexes, and where the sequences go on; then statistics, so that the first plan is a good one.
\set ON_ERROR_STOP on
SET maintenance_work_mem = '128MB';
SET max_parallel_maintenance_workers = 0;
ALTER TABLE app.users ADD PRIMARY KEY (id), ADD UNIQUE (handle), ADD UNIQUE (email);
ALTER TABLE app.videos ADD PRIMARY KEY (id), ADD FOREIGN KEY (user_id) REFERENCES app.users;
ALTER TABLE app.watch_events ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (user_id) REFERENCES app.users, ADD FOREIGN KEY (video_id) REFERENCES app.videos;
ALTER TABLE app.searches ADD PRIMARY KEY (id), ADD FOREIGN KEY (user_id) REFERENCES app.users;
ALTER TABLE app.locations ADD PRIMARY KEY (id), ADD FOREIGN KEY (user_id) REFERENCES app.users;
ALTER TABLE app.messages ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (sender_id) REFERENCES app.users, ADD FOREIGN KEY (recipient_id) REFERENCES app.users;
ALTER TABLE app.purchases ADD PRIMARY KEY (id), ADD FOREIGN KEY (user_id) REFERENCES app.users;
CREATE INDEX ON app.videos (user_id);
CREATE INDEX ON app.watch_events (user_id);
CREATE INDEX ON app.watch_events (video_id);
CREATE INDEX ON app.searches (user_id);
CREATE INDEX ON app.locations (user_id);
CREATE INDEX ON app.messages (sender_id);
CREATE INDEX ON app.messages (recipient_id);
CREATE INDEX ON app.purchases (user_id);
SELECT format('SELECT setval(%L, (SELECT max(id) FROM app.%I))',
              pg_get_serial_sequence('app.' || t, 'id'), t)
FROM unnest(ARRAY['users', 'videos', 'watch_events', 'searches', 'locations', 'messages',
                  'purchases']) t \gexec
ANALYZE;
