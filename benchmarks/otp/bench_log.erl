%% A logger handler that counts what it gets, so that reports are made but not printed.
-module(bench_log).

-export([install/0, count/0]).
-export([log/2]).

%% Takes the place of the default handler.
install() ->
    Seen = counters:new(1, []),
    persistent_term:put(?MODULE, Seen),
    ok = logger:remove_handler(default),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => Seen}).

count() ->
    counters:get(persistent_term:get(?MODULE), 1).

log(_Event, #{config := Seen}) ->
    counters:add(Seen, 1, 1).
