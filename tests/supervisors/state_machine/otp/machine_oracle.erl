%% Runs programs (see programs.py) on OTP's own gen_statem and prints what the callbacks were told.
%%
%% Input: a file of Erlang terms, one program a term: JSON objects are maps with binary keys,
%% strings are binaries. Output: one JSON array a line, [Number, Trace]. The programs run side by
%% side, since they spend their time waiting.
-module(machine_oracle).
-behaviour(gen_statem).

-export([main/1]).
-export([init/1, callback_mode/0, handle_event/4]).

%% Programs start so far apart that each finds the machine idle when it has something to do.
-define(APART_MS, 5).

-record(data, {program, fuel, trace = []}).

main([File, Fuel, RestMs]) ->
    {ok, Programs} = file:consult(File),
    Numbered = lists:zip(lists:seq(0, length(Programs) - 1), Programs),
    Limits = {list_to_integer(Fuel), list_to_integer(RestMs)},
    Running = [begin
                   timer:sleep(?APART_MS),
                   spawn_monitor(fun() -> run(N, P, Limits) end)
               end || {N, P} <- Numbered],
    [receive {'DOWN', Monitor, _, _, normal} -> ok;
             {'DOWN', Monitor, _, _, Why} -> io:format(standard_error, "~p~n", [Why]), halt(1)
     end || {_, Monitor} <- Running],
    halt(0).

run(Number, #{<<"script">> := Script} = Program, {Fuel, RestMs}) ->
    {ok, Machine} = gen_statem:start(?MODULE, {Program, Fuel}, []),
    _ = sys:get_state(Machine),
    lists:foreach(fun(Step) -> step(Machine, Step) end, Script),
    timer:sleep(RestMs),
    {_, #data{trace = Trace}} = sys:get_state(Machine),
    io:format("[~b,[~s]]~n", [Number, lists:join(",", [json(Row) || Row <- lists:reverse(Trace)])]).

step(Machine, [<<"cast">>, Contents]) ->
    %% Suspended, so that all of them are in the mailbox before the first is handled.
    ok = sys:suspend(Machine),
    lists:foreach(fun(Content) -> gen_statem:cast(Machine, Content) end, Contents),
    ok = sys:resume(Machine),
    _ = sys:get_state(Machine);
step(_, [<<"pass">>, Ms]) ->
    timer:sleep(Ms).

json(Row) ->
    ["[", lists:join(",", [["\"", Word, "\""] || Word <- Row]), "]"].

%% ---- the machine -------------------------------------------------------------------------

init({#{<<"enter">> := Enter, <<"first_state">> := State, <<"first">> := First} = Program, Fuel}) ->
    put(enter, Enter),
    {ok, State, #data{program = Program, fuel = Fuel}, actions(First)}.

callback_mode() ->
    case get(enter) of
        true -> [handle_event_function, state_enter];
        false -> handle_event_function
    end.

handle_event(enter, Old, State, #data{program = #{<<"entering">> := Entering}} = Data) ->
    answer(maps:get(State, Entering, none), [State, <<"enter">>, Old], Data);
handle_event(Type, Content, State, #data{program = #{<<"on">> := On}} = Data) when is_binary(Content) ->
    Reaction = maps:get(Content, maps:get(State, On, #{}), none),
    answer(Reaction, [State, type_name(Type), Content], Data);
handle_event(info, {timeout, _, _}, State, Data) ->
    %% A timer that gen_statem itself no longer knew.
    answer(none, [State, <<"stray">>, <<>>], Data).

answer(Reaction, Row, #data{trace = Trace, fuel = Fuel} = Data) ->
    result(Reaction, Fuel > 0, Data#data{trace = [Row | Trace], fuel = Fuel - 1}).

result(none, _, Data) ->
    {keep_state, Data};
result(_, false, Data) ->
    {keep_state, Data};
result(#{<<"repeat">> := true} = Reaction, true, Data) ->
    {repeat_state, Data, actions(maps:get(<<"do">>, Reaction, []))};
result(#{<<"to">> := State} = Reaction, true, Data) ->
    {next_state, State, Data, actions(maps:get(<<"do">>, Reaction, []))};
result(Reaction, true, Data) ->
    {keep_state, Data, actions(maps:get(<<"do">>, Reaction, []))}.

actions(Forms) ->
    [action(Form) || Form <- Forms].

action([<<"postpone">>]) -> postpone;
action([<<"next">>, Type, Content]) -> {next_event, type(Type), Content};
action([<<"set">>, Timeout, Ms, Content]) -> {type(Timeout), Ms, Content};
action([<<"update">>, Timeout, Content]) -> {type(Timeout), update, Content};
action([<<"cancel">>, Timeout]) -> {type(Timeout), cancel}.

type(<<"cast">>) -> cast;
type(<<"info">>) -> info;
type(<<"internal">>) -> internal;
type(<<"timeout">>) -> timeout;
type(<<"state_timeout">>) -> state_timeout;
type(Name) -> {timeout, Name}.

type_name({timeout, Name}) -> Name;
type_name(Type) -> atom_to_binary(Type).
