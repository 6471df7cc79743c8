"""The conformance list itself: every case of supervisor_SUITE has its test, on every host."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from tests.supervisors.conformance import (
    test_api,
    test_auto_shutdown,
    test_reports,
    test_restart_types,
    test_robustness,
    test_start,
    test_stop,
    test_strategies,
    test_upgrade,
)

if TYPE_CHECKING:
    from types import ModuleType

CASES: tuple[tuple[ModuleType, str], ...] = (
    (
        test_start,
        """
        sup_start_normal sup_start_ignore_init sup_start_ignore_child
        sup_start_ignore_temporary_child sup_start_ignore_temporary_child_start_child
        sup_start_ignore_temporary_child_start_child_simple
        sup_start_ignore_permanent_child_start_child_simple sup_start_error_return sup_start_fail
        sup_start_child_returns_error sup_start_restart_child_returns_error
        sup_start_child_returns_error_simple sup_start_map sup_start_map_simple
        sup_start_map_faulty_specs
        """,
    ),
    (
        test_stop,
        """
        sup_stop_infinity sup_stop_timeout sup_stop_timeout_dynamic sup_stop_brutal_kill
        sup_stop_brutal_kill_dynamic sup_stop_race sup_stop_non_shutdown_exit_dynamic
        """,
    ),
    (
        test_api,
        """
        child_adm child_adm_simple extra_return child_specs child_specs_map sup_flags
        already_started_outside_supervisor get_callback_module count_children
        count_children_supervisor count_restarting_children
        """,
    ),
    (
        test_restart_types,
        """
        permanent_normal permanent_shutdown permanent_abnormal transient_normal
        transient_shutdown transient_abnormal temporary_normal temporary_shutdown
        temporary_abnormal temporary_bystander faulty_application_shutdown
        external_start_no_progress_log
        """,
    ),
    (
        test_strategies,
        """
        multiple_restarts one_for_one one_for_one_escalation one_for_all one_for_all_escalation
        one_for_all_other_child_fails_restart simple_one_for_one simple_one_for_one_shutdown
        simple_one_for_one_extra simple_one_for_one_escalation simple_one_for_one_corruption
        simple_one_for_one_restart_ignore rest_for_one rest_for_one_escalation
        rest_for_one_other_child_fails_restart order_of_children
        """,
    ),
    (
        test_robustness,
        """
        child_unlink tree simple_global_supervisor hanging_restart_loop
        hanging_restart_loop_rest_for_one hanging_restart_loop_simple
        do_not_save_start_parameters_for_temporary_children
        do_not_save_child_specs_for_temporary_children
        simple_one_for_one_scale_many_temporary_children scale_start_stop_many_children
        """,
    ),
    (test_upgrade, "code_change code_change_map code_change_simple code_change_simple_map"),
    (
        test_auto_shutdown,
        """
        nonsignificant_temporary nonsignificant_transient significant_temporary
        significant_transient significant_simple significant_bystander significant_escalation
        significant_upgrade_never_any significant_upgrade_any_never
        significant_upgrade_never_all significant_upgrade_all_never
        significant_upgrade_any_all significant_upgrade_all_any significant_upgrade_child
        """,
    ),
    (test_reports, "format_log_1 format_log_2"),
)
"""The cases of OTP 25's supervisor_SUITE and the three of 27, by the module that has them."""

PAIRS = [(module, case) for module, cases in CASES for case in cases.split()]


def test_the_list_has_the_91_cases() -> None:
    names = [case for _, case in PAIRS]
    assert len(names) == 91
    assert len(set(names)) == 91


@pytest.mark.parametrize(("module", "case"), PAIRS, ids=[case for _, case in PAIRS])
def test_each_case_has_a_test_with_a_docstring_that_runs_on_every_host(
    module: ModuleType, case: str
) -> None:
    test: Any = getattr(module, f"test_{case}", None)
    assert test is not None, f"{module.__name__} has no test_{case}"
    assert inspect.getdoc(test)
    # The fixture `case` is made over `world`, which has the three hosts as its parameters.
    assert "case" in inspect.signature(test).parameters
    assert not [mark for mark in getattr(test, "pytestmark", []) if "skip" in mark.name]
