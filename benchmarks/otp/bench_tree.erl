%% The supervision tree of every row: a root, its dynamic supervisors, their children.
-module(bench_tree).
-behaviour(supervisor).

-export([start/1, start_dynamic/0, sups/1, children/3, child/1, stop/1]).
-export([init/1]).

%% A window that no row can fill.
-define(INTENSITY, 1000000).
-define(PERIOD_S, 3600).

start(Sups) ->
    {ok, Root} = supervisor:start_link(?MODULE, {root, Sups}),
    Root.

start_dynamic() ->
    supervisor:start_link(?MODULE, dynamic).

%% In the order of their ids.
sups(Root) ->
    [Pid || {_, Pid, _, _} <- lists:keysort(1, supervisor:which_children(Root))].

%% Starts children First..Last under Sup; ends when the last one's init has answered.
children(Sup, {First, Last}, Start) when First =< Last ->
    {ok, _} = supervisor:start_child(Sup, [name(First), Start]),
    children(Sup, {First + 1, Last}, Start);
children(_Sup, _Range, _Start) ->
    ok.

%% The child of that number, wherever it hangs.
child(Number) ->
    bench_registry:whereis_name(name(Number)).

stop(Root) ->
    Monitor = monitor(process, Root),
    unlink(Root),
    exit(Root, shutdown),
    receive
        {'DOWN', Monitor, process, Root, _} -> ok
    end.

init({root, Sups}) ->
    {ok, {flags(one_for_one),
          [#{id => Id, start => {?MODULE, start_dynamic, []}, type => supervisor}
           || Id <- lists:seq(1, Sups)]}};
init(dynamic) ->
    {ok, {flags(simple_one_for_one),
          [#{id => child, start => {bench_server, start_link, []}}]}}.

flags(Strategy) ->
    #{strategy => Strategy, intensity => ?INTENSITY, period => ?PERIOD_S}.

name(Number) ->
    <<"bench/", (integer_to_binary(Number))/binary>>.
