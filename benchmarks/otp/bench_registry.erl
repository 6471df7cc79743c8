%% Names for gen_servers, kept in one public ets table (a `via` module).
%%
%% The entry of a dead process counts as free, as in Elixir's Registry, so no
%% registry process has to be told of deaths. That is the cheapest registry OTP
%% can have, which makes the comparison the hardest one for the Python side.
-module(bench_registry).

-export([new/0, register_name/2, unregister_name/1, whereis_name/1, send/2]).

new() ->
    ?MODULE = ets:new(?MODULE, [named_table, public, set]),
    ok.

register_name(Name, Pid) ->
    case ets:insert_new(?MODULE, {Name, Pid}) of
        true ->
            yes;
        false ->
            replace_dead(ets:lookup(?MODULE, Name), Name, Pid)
    end.

unregister_name(Name) ->
    ets:delete(?MODULE, Name),
    Name.

whereis_name(Name) ->
    case ets:lookup(?MODULE, Name) of
        [{_, Pid}] ->
            case is_process_alive(Pid) of
                true -> Pid;
                false -> undefined
            end;
        [] ->
            undefined
    end.

send(Name, Message) ->
    case whereis_name(Name) of
        undefined ->
            exit({badarg, {Name, Message}});
        Pid ->
            Pid ! Message,
            Pid
    end.

%% Deleting exactly the entry that was read and inserting anew lets one of two
%% racing claimants win.
replace_dead([], Name, Pid) ->
    register_name(Name, Pid);
replace_dead([{_, Old} = Entry], Name, Pid) ->
    case is_process_alive(Old) of
        true ->
            no;
        false ->
            ets:delete_object(?MODULE, Entry),
            case ets:insert_new(?MODULE, {Name, Pid}) of
                true -> yes;
                false -> no
            end
    end.
