%% The gen_server of every row: it counts, answers, calls and plays ping-pong.
%%
%% Its state is a counter while it is idle, so that the memory row measures the
%% process and not a state.
-module(bench_server).
-behaviour(gen_server).

-export([start_link/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Called by the dynamic supervisor. Start is `idle`, or `{up, Ups, Target, Driver}`:
%% then each init counts itself in the atomics array Ups, and the one that
%% reaches Target tells Driver.
start_link(Name, Start) ->
    gen_server:start_link({via, bench_registry, Name}, ?MODULE, Start, []).

init(idle) ->
    {ok, 0};
init({up, Ups, Target, Driver}) ->
    case atomics:add_get(Ups, 1, 1) of
        Target -> Driver ! {all_up, Target};
        _ -> ok
    end,
    {ok, 0};
init({tell, Driver}) ->
    Driver ! {up, self()},
    {ok, 0}.

handle_call(ping, _From, State) ->
    {reply, pong, State};
handle_call(count, _From, Count) ->
    {reply, Count, Count};
handle_call({play_with, Peer, Driver}, _From, _State) ->
    {reply, ok, {Peer, Driver}}.

handle_cast(tick, Count) ->
    {noreply, Count + 1};
handle_cast({ball, 0}, {_Peer, Driver} = State) ->
    Driver ! game_over,
    {noreply, State};
handle_cast({ball, Left}, {Peer, _Driver} = State) ->
    gen_server:cast(Peer, {ball, Left - 1}),
    {noreply, State};
handle_cast({call, Peer, Calls, Driver}, State) ->
    ok = call(Peer, Calls),
    Driver ! calls_done,
    {noreply, State}.

handle_info({timeout_of, Last, Driver}, Count) ->
    case Count + 1 of
        Last -> Driver ! all_expired;
        _ -> ok
    end,
    {noreply, Count + 1}.

call(_Peer, 0) ->
    ok;
call(Peer, Left) ->
    pong = gen_server:call(Peer, ping),
    call(Peer, Left - 1).
