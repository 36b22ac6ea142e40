"""agentd plugin `deploys`: which commits of Git changed what a service runs with. It only reads."""
