"""The keeper: the one process of a host that is parent of all zones and VMs, and outlives the node.

It imports nothing but the standard library and this package. `keeper_client` starts it and speaks
to it. On its directory (0700) it has `keeper.sock` (0600, and only the same user or root is heard),
`keeper.lock`, `keeper.journal`, `keeper.log`, `holder.sock` and `c/` for console sockets.

Protocol, version 1
-------------------
A frame is four bytes of length, big-endian, and a JSON object of at most 4 MiB; bytes in it are
base64. A request is {"id": N, "op": NAME, fields}, answered once by {"id": N, "ok": {...}} or
{"id": N, "error": {"code", "message"}}, in any order. The first is `hello`. Unknown fields are
refused. What is malformed gets an answer with id null and the line is closed.

| op | fields (? optional) | answer |
| -- | ------------------- | ------ |
| hello | oldest, newest | version, pid, boot_id, journal, first_seq, next_seq |
| run | PROGRAM, deadline_ms, stdin?, output_bytes?, log?, stream?, input? | status, signal, \
timed_out, elapsed_ms, stdout, stderr, stdout_bytes, stderr_bytes |
| input | run (its id), data?, end? | of a run with `input`; nothing if it has ended |
| hold | run (its id), on? | its output stays in its pipes while `on`; nothing if it has ended |
| cancel | run (its id) | nothing; the command's own answer follows |
| settle | patience_ms | when no command of a client that is gone runs any more |
| spawn | PROGRAM, instance, start_id, log?, terminal? | VIEW |
| adopt | instance, start_id, pid, start_time?, log? | VIEW |
| signal | instance, start_id, signal | |
| inventory | | instances: VIEWs |
| forget | instance | |
| exits | from | first_seq, next_seq, journal; then `exit` events, old ones first |
| ack | seq | exits up to it are dropped |
| console_listen | console, log? | path, for a runtime's --console-socket |
| console_connect | console, path, log? | |
| attach | console, write?, take? | channel; then `console` events: the last 64 KiB, then live |
| write, resize, detach | channel; data; rows, columns | |
| shutdown | force? | |

PROGRAM is argv, env?, cwd? (/), umask? (0o022), netns? (a path). LOG is path, size_bytes?, kept?.
VIEW is instance, start_id, boot_id, pid, start_time, running, exit. An exit is seq, instance,
start_id, boot_id, pid, start_time, how, status, signal, time; `how` is exited, signaled, unknown
(nobody could ask for it, or it never started; it counts as a failure) or rebooted.

Events: `exit` and an exit's fields; `output` id, stream, data; `console` channel, data;
`console_demoted` channel (another took the writing over); `console_end` channel, reason (ended,
closed, slow).

Codes: bad_request, malformed, not_greeted, unknown_operation, unknown_version, unknown_seq,
exhausted, journal_full, not_started, not_adopted, no_process, already_running, not_running,
no_console, no_channel, no_terminal, no_guest, not_writer, writer_taken, console_full, input_full,
busy, internal.

Rules
-----
- A start id is used once; asking again gives what came of it. So `spawn` and `adopt` may be
  repeated when an answer was lost; `run` may not.
- A command goes on to its deadline when its client is gone, though its input ends; then its
  session is killed. The next client has it killed sooner by `settle`, unless it was one with
  `input`. One whose keeper dies is killed by the next keeper.
- An exit is on disk before it is announced, and numbered without a gap. 4,096 are kept until they
  are acknowledged.
- With the journal's disk full nothing is spawned or adopted; commands run, and exits are recorded
  when there is room.
- A console ends with the instance of its name; without such, when its guest hangs up. It is opened
  anew for every start: `console_connect` after the spawn, `console_listen` before the runtime.
"""
