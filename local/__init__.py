"""The local stack: the deployment that `template.yaml` describes, on one machine, without AWS and without Docker."""
