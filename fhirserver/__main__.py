"""`python -m fhirserver`: the commands of `fhirserver.cli`."""

from fhirserver.cli import main

main()
