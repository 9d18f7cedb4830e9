from fhirserver.definitions import packaged


def test_parameters_with_parts() -> None:
    found = packaged().operation("lookup", "CodeSystem")
    assert found is not None
    assert (found.system, found.type, found.instance) == (False, True, False)
    names = {(item.use, item.name): item for item in found.parameters}
    assert names["in", "code"].max == 1
    designation = names["out", "designation"]
    assert (designation.type, designation.max) == (None, None)
    assert [(part.name, part.use) for part in designation.parts] == [
        ("language", "out"),
        ("use", "out"),
        ("value", "out"),
    ]
