"""What the reader of templates makes of the samples: the values, as far as they can be known."""

from pathlib import Path

import pytest

from tests.infra.deployment import Deployment, deploy
from tests.infra.template import template_of
from tests.infra.values import Unknown, Value

SAMPLES = Path(__file__).parent / "samples"
SUFFIX = "${toLower(uniqueString(resourceGroup().id, 'prod'))}"


def deployed(**arguments: Value) -> Deployment:
    return deploy(SAMPLES / "main.bicep", {"environmentName": "prod", **arguments})


def evaluated(expression: str) -> Value:
    """The value of one expression, in a file that declares a few things."""
    text = f"param given int?\nparam asked string\nvar numbers = [1, 2]\noutput o string = {expression}\n"
    return Deployment(template_of(text, SAMPLES / "none.bicep"), {}).outputs["o"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'it\\'s \\${x} \\u{20AC}'", "it's ${x} €"),
        ("'''\n${raw}'''", "\n${raw}"),
        ("-3", -3),
        ("1 + 2 * 3", 7),
        ("!(1 > 2) && 'A' =~ 'a'", True),
        ("given ?? { a: 1 }.a", 1),
        ("{ a: 2 }.a == 2 && !{ a: false }.a && 3 == { a: 3 }.a", True),
        ("2 + { a: 3 }.a * { a: 4 }.a", 14),
        ("false ? 1 : { a: { b: 2 } }.a.b", 2),
        ("map(numbers, n => { a: n }.a + 1)", [2, 3]),
        ("given ?? 7", 7),
        ("numbers[1]", 2),
        ("[for (n, i) in numbers: n * 10 + i]", [10, 21]),
        ("{ a: { b: 'c' } }.a['b']", "c"),
        ("union({ a: { b: 1 } }, { a: { c: asked } })", {"a": {"b": 1, "c": Unknown("asked")}}),
        ("contains(['a', 'b'], 'b') ? 'yes' : 'no'", "yes"),
        ("items({ b: 1, a: 2 })[0].key", "a"),
        ("'${asked}-${1}${true}'", Unknown("${asked}-1true", is_text=True)),
        ("'<${'${asked}-a'}>'", Unknown("<${asked}-a>", is_text=True)),
        ("asked == 'x' ? 1 : 2", Unknown("asked == 'x' ? 1 : 2")),
        ("false && asked == 'x'", False),
        ("toUpper(asked)", Unknown("toUpper(asked)")),
        ("length([asked, asked])", 2),
        ("resourceGroup().location", Unknown("resourceGroup().location")),
    ],
)
def test_an_expression_has_its_value_or_says_what_it_depends_on(expression: str, value: Value) -> None:
    found = evaluated(expression)

    assert (found, type(found)) == (value, type(value))


def test_values_go_through_parameters_modules_and_outputs() -> None:
    outputs = deployed().outputs

    account = f"[Microsoft.Storage/storageAccounts st{SUFFIX}]"
    assert outputs["NAME"] == Unknown(f"st{SUFFIX}", is_text=True)
    assert outputs["URI"] == Unknown(f"${{{account}.properties.primaryEndpoints.blob}}segments", is_text=True)
    assert outputs["SECOND"] == ""


def test_loops_conditions_and_nesting_give_the_resources_that_there_would_be() -> None:
    made = [r.name for r in deployed(size="large").resources if not r.declared.existing]

    assert made[:5] == [
        f"st{SUFFIX}",
        f"st{SUFFIX}/default",
        f"st{SUFFIX}/default/segments",
        f"st{SUFFIX}/default",
        f"st{SUFFIX}/default/q0-one",
    ]
    assert [name.rpartition("/")[2] for name in made if "/q" in name] == ["q0-one", "q1-two"]


def test_a_module_under_a_condition_is_there_when_it_holds() -> None:
    accounts = {
        second: [r.name for r in deployed(second=second).of_type("Microsoft.Storage/storageAccounts")]
        for second in (False, True)
    }

    assert accounts == {False: [f"st{SUFFIX}"], True: [f"st{SUFFIX}", "otherprod"]}


def test_what_is_passed_in_wins_over_what_the_size_says() -> None:
    def days(deployment: Deployment) -> Value:
        service = deployment.of_type("Microsoft.Storage/storageAccounts/blobServices")[0]
        return service.get("properties", "deleteRetentionPolicy", "days")

    assert [days(deployed()), days(deployed(size="large")), days(deployed(days=5))] == [3, 30, 5]


def test_an_existing_resource_is_the_one_of_its_name() -> None:
    deployment = deployed()
    role = deployment.of_type("Microsoft.Authorization/roleAssignments")[0]

    assert getattr(role.scope, "identity", None) == deployment.resources[0].identity


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("' '", " "),
        ("'  a '", "  a "),
        ("'${name} ${name} '", "x x "),
        ("' ${name}\\n '", " x\n "),
        ("replace('a, b', ' ', '')", "a,b"),
        ("''' a '''", " a "),
    ],
)
def test_blanks_in_a_text_are_a_part_of_it(written: str, meant: str) -> None:
    assert evaluated(written.replace("name", "'x'")) == meant


@pytest.mark.parametrize(
    ("text", "line"),
    [("param x string =\n", 1), ("var a = 1\nvar b = ]\n", 2), ("what is this", 1)],
)
def test_what_is_no_bicep_is_told_with_its_line(text: str, line: int) -> None:
    problems = template_of(text, SAMPLES / "none.bicep").problems

    assert problems
    assert problems[0].startswith(f"{line}: ")
