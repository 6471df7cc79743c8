%% Runs supervision scenarios on OTP's own `supervisor` and prints what happened.
%%
%% Input: a file of Erlang terms, one scenario a term, as oracle.py writes it (JSON objects are
%% maps with binary keys, strings are binaries). Output: one JSON array a line, [Number, Events],
%% in order of completion; Events is null with the reason on standard error if the run failed.
%%
%% Every process of a tree is real; one collector per scenario receives, in causal order, the
%% answers of inits (sent by the process that answers), the exits (trace messages, sent by the
%% dying process before its links and monitors hear of it) and the supervisor reports (a logger
%% handler, called inside the reporting supervisor). With one scheduler (`+S 1`) messages from
%% different senders arrive in the order they were sent, so the collector's mailbox is the log.
-module(scenario_oracle).
-behaviour(supervisor).

-export([main/1]).
-export([start/3, init_worker/4, init/1, log/2]).

%% So many scenarios run side by side; more would delay those that wait for the clock.
-define(TOGETHER, 16).
%% Longest run of one scenario beside its sleeps; a healthy one needs its shutdown timeouts.
-define(DEADLINE_MS, 30000).
%% So many looks in a row, a millisecond apart, must find every process idle.
-define(IDLE_LOOKS, 3).

%% ---- the batch ---------------------------------------------------------------------------

main([File]) ->
    load_modules(),
    {ok, Scenarios} = file:consult(File),
    ok = logger:remove_handler(default),
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => error}),
    Numbered = lists:zip(lists:seq(0, length(Scenarios) - 1), Scenarios),
    {Quick, Timed} = lists:partition(fun({_, S}) -> sleep_ms(S) =:= 0 end, Numbered),
    lists:foreach(fun run_group/1, groups(Quick) ++ groups(Timed)),
    halt(0).

%% A process that must wait for its code to be loaded would act later than its turn.
load_modules() ->
    lists:foreach(
        fun(Application) ->
            {ok, Modules} = application:get_key(Application, modules),
            lists:foreach(fun code:ensure_loaded/1, Modules)
        end,
        [kernel, stdlib]).

sleep_ms(#{<<"steps">> := Steps}) ->
    lists:sum([Ms || #{<<"do">> := <<"sleep">>, <<"ms">> := Ms} <- Steps]).

groups([]) -> [];
groups(List) when length(List) =< ?TOGETHER -> [List];
groups(List) ->
    {Group, Rest} = lists:split(?TOGETHER, List),
    [Group | groups(Rest)].

run_group(Group) ->
    Running = [{spawn_monitor(fun() -> exit({events, run(S)}) end), I, S} || {I, S} <- Group],
    lists:foreach(fun await/1, Running).

await({{Pid, Monitor}, Number, Scenario}) ->
    Deadline = erlang:send_after(?DEADLINE_MS + sleep_ms(Scenario), self(), {late, Pid}),
    receive
        {'DOWN', Monitor, process, Pid, {events, Events}} ->
            io:put_chars([$[, integer_to_list(Number), $,, json({list, Events}), "]\n"]);
        {'DOWN', Monitor, process, Pid, Reason} -> failed(Number, Reason);
        {late, Pid} ->
            exit(Pid, kill),
            failed(Number, not_idle_before_its_deadline)
    end,
    erlang:cancel_timer(Deadline).

failed(Number, Reason) ->
    io:format(standard_error, "scenario ~b: ~0p~n", [Number, Reason]),
    io:put_chars([$[, integer_to_list(Number), ",null]\n"]).

%% ---- one scenario ------------------------------------------------------------------------

%% The runner is the root's parent: it traps exits and sends the `shutdown` of a stop.
run(#{<<"tree">> := Tree, <<"steps">> := Steps} = Scenario) ->
    process_flag(trap_exit, true),
    Run = {ets:new(?MODULE, [public]), spawn_link(fun() -> collect([], #{}) end)},
    ets:insert(element(1, Run), {root, path(undefined, Tree)}),
    sleep_ms(Scenario) > 0 andalso wait_for_edge_of_second(),
    End =
        case start(Run, undefined, Tree) of
            {ok, Root} ->
                Spare = settle(Run),
                steps(Run, Steps, 0, Spare),
                root_state(Root);
            {error, Reason} ->
                settle(Run),
                Reason
        end,
    Events = events(Run) ++ [[{event, 'end'}, {root, term(End)}]],
    tear_down(Run),
    Events.

%% OTP stamps restarts with whole seconds of the monotonic clock. From an edge on, they equal
%% the whole seconds of a virtual clock that starts at 0.
wait_for_edge_of_second() ->
    Now = erlang:monotonic_time(microsecond),
    Second = erlang:convert_time_unit(Now, microsecond, second),
    timer:sleep(((Second + 1) * 1000000 - Now) div 1000 + 1).

root_state(Root) ->
    receive
        {'EXIT', Root, Reason} -> Reason
    after 0 -> alive
    end.

steps(_Run, [], _Number, _SpareMs) -> ok;
steps(Run, [Step | Rest], Number, SpareMs) ->
    case step(Run, Step, SpareMs) of
        none -> ok;
        Value -> note(Run, [{event, result}, {step, Number}, {value, Value}])
    end,
    Asleep = maps:get(<<"do">>, Step) =:= <<"sleep">>,
    Spent = settle(Run),
    steps(Run, Rest, Number + 1, case Asleep of true -> Spent; false -> SpareMs + Spent end).

%% SpareMs, spent on looking at an idle tree, is taken off the next sleep.
step(_Run, #{<<"do">> := <<"sleep">>, <<"ms">> := Ms}, SpareMs) ->
    timer:sleep(max(0, Ms - SpareMs)),
    none;
step(Run, Step, _SpareMs) ->
    Path = maps:get(<<"path">>, Step, maps:get(<<"sup">>, Step, root_path(Run))),
    case alive(Run, Path) of
        false -> term(noproc);
        Pid when is_map_key(<<"sup">>, Step) ->
            supervisor = type(Run, Pid),
            act(maps:get(<<"do">>, Step), Pid, Path, Step, Run);
        Pid -> act(maps:get(<<"do">>, Step), Pid, Path, Step, Run)
    end.

act(<<"exit">>, Pid, _Path, #{<<"reason">> := Reason}, _Run) ->
    Pid ! {?MODULE, 'end', reason(Reason)},
    none;
act(<<"kill">>, Pid, _Path, _Step, _Run) ->
    exit(Pid, kill),
    none;
act(<<"stop">>, Pid, _Path, _Step, _Run) ->
    exit(Pid, shutdown),
    none;
act(<<"start_child">>, Pid, Path, #{<<"child">> := Child}, Run) ->
    call(fun() -> supervisor:start_child(Pid, child_spec(Run, Path, Child)) end);
act(<<"terminate_child">>, Pid, _Path, #{<<"id">> := Id}, _Run) ->
    call(fun() -> supervisor:terminate_child(Pid, Id) end);
act(<<"restart_child">>, Pid, _Path, #{<<"id">> := Id}, _Run) ->
    call(fun() -> supervisor:restart_child(Pid, Id) end);
act(<<"delete_child">>, Pid, _Path, #{<<"id">> := Id}, _Run) ->
    call(fun() -> supervisor:delete_child(Pid, Id) end);
act(<<"which_children">>, Pid, _Path, _Step, _Run) ->
    {list, [{list, [term(Id), child_state(Child), Type]}
            || {Id, Child, Type, _Modules} <- supervisor:which_children(Pid)]};
act(<<"count_children">>, Pid, _Path, _Step, _Run) ->
    {object, supervisor:count_children(Pid)}.

child_state(Pid) when is_pid(Pid) -> alive;
child_state(State) -> State.

call(Call) ->
    try
        term(Call())
    catch
        exit:{Reason, {gen_server, call, _}} -> term(Reason)
    end.

%% ---- the tree ----------------------------------------------------------------------------

root_path({Table, _}) -> ets:lookup_element(Table, root, 2).

%% Start function of every child; runs in the parent. A supervisor's answer is noted here,
%% where it arrives, since its own init returns before its children are started.
start({Table, _} = Run, ParentPath, #{<<"type">> := <<"supervisor">>} = Spec) ->
    Path = path(ParentPath, Spec),
    N = attempt(Run, Path),
    case supervisor:start_link(?MODULE, {Run, Path, Spec}) of
        {ok, Pid} ->
            ets:insert(Table, {{path, Path}, Pid}),
            note_start(Run, Pid, Path, N),
            {ok, Pid};
        {error, Reason} ->
            note(Run, [{event, start_failed}, {path, Path}, {n, N}]),
            {error, Reason}
    end;
start(Run, ParentPath, Spec) ->
    proc_lib:start_link(?MODULE, init_worker, [self(), Run, path(ParentPath, Spec), Spec]).

path(undefined, #{<<"id">> := Id}) -> Id;
path(ParentPath, #{<<"id">> := Id}) when is_binary(Id) -> <<ParentPath/binary, "/", Id/binary>>;
path(ParentPath, #{<<"id">> := Id}) -> path(ParentPath, #{<<"id">> => iolist_to_binary(json(Id))}).

attempt({Table, _}, Path) ->
    ets:update_counter(Table, {attempts, Path}, 1, {{attempts, Path}, 0}).

%% supervisor callback.
init({Run, Path, Spec}) ->
    join(Run, Path, supervisor),
    Flags = [{strategy, <<"strategy">>}, {intensity, <<"intensity">>}, {period, <<"period">>},
             {auto_shutdown, <<"auto_shutdown">>}],
    Children = maps:get(<<"children">>, Spec, []),
    {ok, {given(Flags, Spec), [child_spec(Run, Path, Child) || Child <- Children]}}.

%% Only the keys that are given: OTP fills in the rest and judges the values.
child_spec(Run, SupPath, #{} = Child) ->
    Keys = [{restart, <<"restart">>}, {shutdown, <<"shutdown">>}, {type, <<"type">>},
            {significant, <<"significant">>}],
    Spec = (given(Keys, Child))#{start => {?MODULE, start, [Run, SupPath, Child]}},
    case Child of
        #{<<"id">> := Id} -> Spec#{id => Id};
        _ -> Spec
    end;
child_spec(_Run, _SupPath, Other) -> atoms(Other).

given(Keys, Json) ->
    maps:from_list([{Key, atoms(maps:get(Name, Json))} || {Key, Name} <- Keys,
                                                          is_map_key(Name, Json)]).

atoms(Text) when is_binary(Text) -> binary_to_atom(Text, utf8);
atoms(List) when is_list(List) -> lists:map(fun atoms/1, List);
atoms(Other) -> Other.

reason(#{<<"shutdown">> := Reason}) -> {shutdown, atoms(Reason)};
reason(Reason) -> atoms(Reason).

init_worker(Parent, Run, Path, Spec) ->
    N = attempt(Run, Path),
    case answer(maps:get(<<"start">>, Spec, <<"ok">>), N) of
        ok ->
            process_flag(trap_exit, maps:get(<<"traps_exit">>, Spec, false)),
            join(Run, Path, worker),
            ets:insert(element(1, Run), {{path, Path}, self()}),
            note_start(Run, self(), Path, N),
            proc_lib:init_ack(Parent, {ok, self()}),
            worker(Parent, maps:get(<<"on_shutdown">>, Spec, <<"obey">>));
        ignore ->
            note(Run, [{event, start_ignored}, {path, Path}, {n, N}]),
            proc_lib:init_ack(Parent, ignore);
        start_failed ->
            note(Run, [{event, start_failed}, {path, Path}, {n, N}]),
            proc_lib:init_ack(Parent, {error, start_failed}),
            exit(start_failed)
    end.

answer(<<"ok">>, _N) -> ok;
answer(<<"ignore">>, _N) -> ignore;
answer(#{<<"fail_on">> := Attempts}, N) ->
    case lists:member(N, Attempts) of
        true -> start_failed;
        false -> ok
    end.

%% As a gen_server that traps exits: any exit of the parent, a killed one's too, is the order to
%% stop. `ignore` is a terminate/2 that does not return, {exit, R} one that exits with R.
worker(Parent, OnShutdown) ->
    receive
        {?MODULE, 'end', Reason} -> exit(Reason);
        {'EXIT', Parent, Reason} -> told_to_stop(Parent, Reason, OnShutdown)
    end.

told_to_stop(_Parent, Reason, <<"obey">>) -> exit(Reason);
told_to_stop(Parent, _Reason, <<"ignore">>) -> worker(Parent, <<"ignore">>);
told_to_stop(_Parent, _Reason, #{<<"exit">> := Reason}) -> exit(reason(Reason)).

%% ---- events ------------------------------------------------------------------------------

join({Table, Collector} = Run, Path, Type) ->
    put(?MODULE, {Run, Path}),
    ets:insert(Table, {{process, self()}, Type}),
    erlang:trace(self(), true, [procs, {tracer, Collector}]).

note({_, Collector}, Event) ->
    Collector ! {note, Event}.

note_start({_, Collector}, Pid, Path, N) ->
    Collector ! {started, Pid, Path, [{event, start}, {path, Path}, {n, N}]}.

%% Logger handler callback; called in the process that logs.
log(#{msg := {report, #{label := {supervisor, Context}, report := Report}}}, _Config) ->
    {Run, Path} = get(?MODULE),
    {reason, Reason} = lists:keyfind(reason, 1, Report),
    {offender, Offender} = lists:keyfind(offender, 1, Report),
    {id, Id} = lists:keyfind(id, 1, Offender),
    note(Run, [{event, report}, {context, Context}, {sup, Path}, {id, term(Id)},
               {reason, term(Reason)}]);
log(_Event, _Config) -> ok.

collect(Events, Paths) ->
    receive
        {note, Event} -> collect([Event | Events], Paths);
        {started, Pid, Path, Event} -> collect([Event | Events], Paths#{Pid => Path});
        {trace, Pid, exit, Reason} when is_map_key(Pid, Paths) ->
            Event = [{event, exit}, {path, maps:get(Pid, Paths)}, {reason, term(Reason)}],
            collect([Event | Events], Paths);
        {trace, _Pid, _What, _More} -> collect(Events, Paths);
        {trace, _Pid, _What, _More, _Info} -> collect(Events, Paths);
        {events, Asker} ->
            Asker ! {events, lists:reverse(Events)},
            collect(Events, Paths)
    end.

events({_, Collector}) ->
    Collector ! {events, self()},
    receive
        {events, Events} -> Events
    end.

%% ---- when is a tree idle? ----------------------------------------------------------------

%% Waits until nothing is left to do and tells the milliseconds spent on making sure of it.
settle(Run) -> settle(Run, length(events(Run)), 0, now_ms()).

settle(_Run, _Count, ?IDLE_LOOKS, SinceMs) -> now_ms() - SinceMs;
settle(Run, Count, Looks, SinceMs) ->
    timer:sleep(1),
    Idle = all_idle(Run),
    case length(events(Run)) of
        Count when Idle -> settle(Run, Count, Looks + 1, SinceMs);
        NewCount -> settle(Run, NewCount, 0, now_ms())
    end.

now_ms() -> erlang:monotonic_time(millisecond).

all_idle({Table, _}) ->
    lists:all(fun([Pid, Type]) -> idle(Pid, Type) end,
              ets:match(Table, {{process, '$1'}, '$2'})).

%% A supervisor that waits for a child's start or end is not in its gen_server loop.
idle(Pid, Type) ->
    case erlang:process_info(Pid, [status, message_queue_len, current_function]) of
        undefined -> true;
        [{status, waiting}, {message_queue_len, 0}, {current_function, {Module, _, _}}] ->
            Module =:= case Type of supervisor -> gen_server; worker -> ?MODULE end;
        _ -> false
    end.

alive({Table, _}, Path) ->
    case ets:lookup(Table, {path, Path}) of
        [{_, Pid}] -> is_process_alive(Pid) andalso Pid;
        [] -> false
    end.

type({Table, _}, Pid) -> ets:lookup_element(Table, {process, Pid}, 2).

tear_down({Table, _}) ->
    Pids = [Pid || [Pid] <- ets:match(Table, {{process, '$1'}, '_'})],
    Monitors = [monitor(process, Pid) || Pid <- Pids],
    lists:foreach(fun(Pid) -> exit(Pid, kill) end, Pids),
    lists:foreach(fun(Ref) -> receive {'DOWN', Ref, _, _, _} -> ok end end, Monitors).

%% ---- terms to JSON -----------------------------------------------------------------------

%% The scenario's mapping: {shutdown, X} is an object, {Reason, ChildRecord} and
%% {Reason, Stack} are the reason, a pid is "pid", other tuples are arrays.
term({shutdown, Reason}) -> {object, [{shutdown, term(Reason)}]};
term({Reason, Child}) when element(1, Child) =:= child, tuple_size(Child) =:= 9 -> term(Reason);
term({Reason, [{Module, Function, _, Where} | _]})
  when is_atom(Module), is_atom(Function), is_list(Where) -> term(Reason);
term(Tuple) when is_tuple(Tuple) -> {list, lists:map(fun term/1, tuple_to_list(Tuple))};
term(List) when is_list(List) -> {list, lists:map(fun term/1, List)};
term(Pid) when is_pid(Pid) -> pid;
term(Other) -> Other.

json({list, Items}) -> [$[, lists:join($,, lists:map(fun json/1, Items)), $]];
json({object, Members}) -> json(Members);
json([{_, _} | _] = Members) ->
    [${, lists:join($,, [[json(Key), $:, json(Value)] || {Key, Value} <- Members]), $}];
json(Atom) when is_atom(Atom) -> json(atom_to_binary(Atom));
json(Integer) when is_integer(Integer) -> integer_to_list(Integer);
json(Float) when is_float(Float) -> float_to_list(Float, [short]);
json(#{} = Map) -> json(maps:to_list(Map));
json(Text) when is_binary(Text) ->
    [$", [escape(C) || C <- unicode:characters_to_list(Text)], $"].

escape(C) when C >= 32, C < 127, C =/= $", C =/= $\\ -> C;
escape(C) when C > 16#ffff ->
    Rest = C - 16#10000,
    [escape(16#d800 + Rest bsr 10), escape(16#dc00 + Rest band 16#3ff)];
escape(C) -> io_lib:format("\\u~4.16.0b", [C]).
