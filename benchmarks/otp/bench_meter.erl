%% CPU time and memory of this node as the kernel counts them, and JSON lines.
-module(bench_meter).

-export([cpu_s/0, rss_bytes/0, emit/3, timed/1]).

%% Linux gives /proc/PID/stat in units of USER_HZ, which is 100 on every
%% architecture Erlang runs on, and statm in pages.
-define(TICKS_PER_S, 100).
-define(PAGE_BYTES, 4096).

%% User and system time of all threads. statistics(runtime) leaves out the
%% system time and would flatter whatever allocates memory.
cpu_s() ->
    {ok, Stat} = file:read_file("/proc/self/stat"),
    %% The name in field 2 may hold spaces: count from its closing parenthesis.
    [_, Rest] = binary:split(Stat, <<") ">>),
    Fields = binary:split(Rest, <<" ">>, [global]),
    User = binary_to_integer(lists:nth(12, Fields)),
    System = binary_to_integer(lists:nth(13, Fields)),
    (User + System) / ?TICKS_PER_S.

rss_bytes() ->
    {ok, Statm} = file:read_file("/proc/self/statm"),
    [_, Resident | _] = binary:split(Statm, <<" ">>, [global]),
    binary_to_integer(Resident) * ?PAGE_BYTES.

%% CPU seconds that Fun took.
timed(Fun) ->
    Before = cpu_s(),
    Fun(),
    cpu_s() - Before.

emit(Name, Value, Unit) ->
    io:format("{\"name\": \"~s\", \"value\": ~s, \"unit\": \"~s\"}~n",
              [Name, number(Value), Unit]).

number(Value) when is_integer(Value) -> integer_to_list(Value);
number(Value) -> float_to_list(Value, [{decimals, 4}, compact]).
