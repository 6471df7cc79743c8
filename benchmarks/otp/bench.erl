%% Entry: erl -noshell ... -run bench main ROW [SIZE...]
%%
%% Each row prints one JSON line per figure and ends the node, with status 1 if
%% the row failed. Rates are per CPU second of this node.
-module(bench).

-export([main/1]).

main([Row | Sizes]) ->
    ok = bench_registry:new(),
    ok = bench_log:install(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        row(Row, [list_to_integer(Size) || Size <- Sizes])
    end),
    receive
        {'DOWN', Monitor, process, Pid, normal} ->
            halt(0);
        {'DOWN', Monitor, process, Pid, Reason} ->
            io:format(standard_error, "~s: ~p~n", [Row, Reason]),
            halt(1)
    end.

row("start", [Sups, Per]) -> start(Sups, Per);
row("cast_to_one", [Casts]) -> cast_to_one(Casts);
row("cast_to_all", [Servers, Rounds]) -> cast_to_all(Servers, Rounds);
row("awaited_call", [Calls]) -> awaited_call(Calls);
row("ping_pong", [Trips]) -> ping_pong(Trips);
row("restarts", [Children, Rounds]) -> restarts(Children, Rounds);
row("restart_latency", [Sups, Per]) -> restart_latency(Sups, Per);
row("timers", [Timers, SpreadMs]) -> timers(Timers, SpreadMs).

%% Starting Sups x Per children with their handshakes, and what they weigh then.
start(Sups, Per) ->
    Root = bench_tree:start(Sups),
    Dynamic = bench_tree:sups(Root),
    Total = Sups * Per,
    RssBefore = bench_meter:rss_bytes(),
    MemoryBefore = erlang:memory(total),
    Cpu = bench_meter:timed(fun() -> start_under(Dynamic, 1, Per, idle) end),
    Rss = bench_meter:rss_bytes() - RssBefore,
    Memory = erlang:memory(total) - MemoryBefore,
    {memory, One} = process_info(bench_tree:child(1), memory),
    bench_meter:emit("memory", Rss / Total, "bytes/process"),
    bench_meter:emit("memory_by_emulator", Memory / Total, "bytes/process"),
    bench_meter:emit("memory_by_process_info", One, "bytes/process"),
    bench_meter:emit("start", Total / Cpu, "processes/CPU s").

start_under([], _First, _Per, _Start) ->
    ok;
start_under([Sup | Sups], First, Per, Start) ->
    ok = bench_tree:children(Sup, {First, First + Per - 1}, Start),
    start_under(Sups, First + Per, Per, Start).

%% A sender outside, one gen_server; ends when the last cast was handled.
cast_to_one(Casts) ->
    [Server] = servers(1),
    Cpu = bench_meter:timed(fun() ->
        cast(Server, Casts),
        Casts = gen_server:call(Server, count, infinity)
    end),
    bench_meter:emit("cast_to_one", Casts / Cpu, "casts/CPU s").

cast(_Server, 0) ->
    ok;
cast(Server, Left) ->
    gen_server:cast(Server, tick),
    cast(Server, Left - 1).

%% One cast to each of many idle gen_servers. With one scheduler the last one
%% queued runs last, so its answer ends the round; the counts are checked after.
cast_to_all(Servers, Rounds) ->
    Pids = servers(Servers),
    Last = lists:last(Pids),
    Cpu = bench_meter:timed(fun() ->
        lists:foreach(fun(Round) ->
            lists:foreach(fun(Pid) -> gen_server:cast(Pid, tick) end, Pids),
            Round = gen_server:call(Last, count, infinity)
        end, lists:seq(1, Rounds))
    end),
    [Rounds] = lists:usort([gen_server:call(Pid, count) || Pid <- Pids]),
    bench_meter:emit("cast_to_all", Servers * Rounds / Cpu, "casts/CPU s").

%% One gen_server calling another, with the default timeout.
awaited_call(Calls) ->
    [Caller, Server] = servers(2),
    Cpu = bench_meter:timed(fun() ->
        gen_server:cast(Caller, {call, Server, Calls, self()}),
        receive calls_done -> ok end
    end),
    bench_meter:emit("awaited_call", Calls / Cpu, "calls/CPU s").

%% Two gen_servers exchanging casts; a round trip is two of them.
ping_pong(Trips) ->
    [A, B] = servers(2),
    ok = gen_server:call(A, {play_with, B, self()}),
    ok = gen_server:call(B, {play_with, A, self()}),
    Cpu = bench_meter:timed(fun() ->
        gen_server:cast(A, {ball, 2 * Trips}),
        receive game_over -> ok end
    end),
    bench_meter:emit("ping_pong", Cpu * 1000000 / Trips, "CPU us/round trip").

%% All children of one supervisor killed at once. Each round has a fresh
%% supervisor, because OTP's restart window keeps what earlier rounds put in.
restarts(Children, Rounds) ->
    Cpu = lists:sum([restart_all(Children) || _ <- lists:seq(1, Rounds)]),
    true = bench_log:count() =:= Children * Rounds,
    bench_meter:emit(["restarts_", integer_to_list(Children)],
                     Children * Rounds / Cpu, "restarts/CPU s").

restart_all(Children) ->
    Ups = atomics:new(1, []),
    Root = bench_tree:start(1),
    [Sup] = bench_tree:sups(Root),
    ok = bench_tree:children(Sup, {1, Children}, {up, Ups, 2 * Children, self()}),
    Pids = [Pid || {_, Pid, _, _} <- supervisor:which_children(Sup)],
    Cpu = bench_meter:timed(fun() ->
        lists:foreach(fun(Pid) -> exit(Pid, kill) end, Pids),
        receive {all_up, _} -> ok end,
        %% The answer comes after the last restart's bookkeeping.
        [_, {active, Children} | _] = supervisor:count_children(Sup)
    end),
    ok = bench_tree:stop(Root),
    Cpu.

%% Every child killed once, one at a time and no two neighbours in a row: from
%% the kill to the first answer of the new one, in wall time.
restart_latency(Sups, Per) ->
    Root = bench_tree:start(Sups),
    Driver = self(),
    Start = {tell, Driver},
    ok = start_under(bench_tree:sups(Root), 1, Per, Start),
    Total = Sups * Per,
    forget_ups(Total),
    Times = lists:sort([one_restart(Sup * Per + Child)
                        || Child <- lists:seq(1, Per), Sup <- lists:seq(0, Sups - 1)]),
    bench_meter:emit("restart_p50", percentile(Times, Total, 0.50), "wall us"),
    bench_meter:emit("restart_p99", percentile(Times, Total, 0.99), "wall us").

forget_ups(0) ->
    ok;
forget_ups(Left) ->
    receive {up, _} -> forget_ups(Left - 1) end.

one_restart(Number) ->
    Pid = bench_tree:child(Number),
    Before = erlang:monotonic_time(nanosecond),
    exit(Pid, kill),
    receive
        {up, New} -> pong = gen_server:call(New, ping)
    end,
    (erlang:monotonic_time(nanosecond) - Before) / 1000.

%% Nearest rank.
percentile(Sorted, Total, Share) ->
    lists:nth(max(1, ceil(Total * Share)), Sorted).

%% Timers that send to one gen_server, spread evenly over SpreadMs. None is due
%% before all are set, so that setting and expiring can be told apart.
timers(Timers, SpreadMs) ->
    [Server] = servers(1),
    Message = {timeout_of, Timers, self()},
    First = erlang:monotonic_time(millisecond) + 5000,
    Insert = bench_meter:timed(fun() ->
        set_timers(Server, Message, First, SpreadMs, Timers)
    end),
    true = erlang:monotonic_time(millisecond) < First,
    Expire = bench_meter:timed(fun() ->
        receive all_expired -> ok end
    end),
    bench_meter:emit("timer_inserts", Timers / Insert, "timers/CPU s"),
    bench_meter:emit("timer_expiries", Timers / Expire, "timers/CPU s").

set_timers(_Server, _Message, _First, _SpreadMs, 0) ->
    ok;
set_timers(Server, Message, First, SpreadMs, Left) ->
    %% 7919 is prime: neighbours land on slots far apart, as in real use.
    Due = First + (Left * 7919) rem SpreadMs,
    erlang:send_after(Due, Server, Message, [{abs, true}]),
    set_timers(Server, Message, First, SpreadMs, Left - 1).

%% Supervised, registered gen_servers, in the order of their names.
servers(Count) ->
    Root = bench_tree:start(1),
    [Sup] = bench_tree:sups(Root),
    ok = bench_tree:children(Sup, {1, Count}, idle),
    [bench_tree:child(Number) || Number <- lists:seq(1, Count)].
