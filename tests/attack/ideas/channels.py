"""Channels to somebody else: notifications, advisory locks, sleeping, sequences, messages in the log
of changes."""


def attack(g):
    clause, columns = g.scope()
    text = g.as_text(columns)
    return g.one(
        ["LISTEN x", f"SELECT pg_notify('x', {text}) FROM {clause} LIMIT 20", "UNLISTEN *"],
        ["LISTEN x", f"SELECT pg_notify('x', string_agg({text}, ',')) FROM {clause}", "SELECT 1"],
        ["LISTEN y", "NOTIFY y, 'hello'", f"SELECT {text} FROM {clause} LIMIT 20"],
        [f"SELECT pg_advisory_xact_lock(hashtext({text})), {text} FROM {clause} LIMIT 20"],
        [f"SELECT pg_try_advisory_lock(length({text})), {text} FROM {clause} LIMIT 20",
         "SELECT objid FROM pg_locks WHERE locktype = 'advisory'",
         "SELECT pg_advisory_unlock_all()"],
        [f"SELECT pg_sleep(0.001 * (length({text}) % 3)), {text} FROM {clause} LIMIT 5"],
        [f"SELECT CASE WHEN {g.truth(columns, 0)} THEN pg_sleep(0.002) END, {text} FROM {clause} LIMIT 5"],
        [f"SELECT pg_logical_emit_message(false, 'x', {text}), {text} FROM {clause} LIMIT 5"],
        [f"SELECT nextval('{g.one('app', 'public')}.users_id_seq'), {text} FROM {clause} LIMIT 5"],
        [f"SELECT last_value, {text} FROM app.users_id_seq, {clause} LIMIT 5"],
        ["SELECT pg_export_snapshot(), txid_current()",
         f"SELECT {text}, pg_current_xact_id() FROM {clause} LIMIT 5"],
        [f"SELECT setseed(0.5), {text}, random() FROM {clause} LIMIT 5"])
