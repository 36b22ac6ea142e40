"""The messages of `agentd.tool.v1`, generated from the proto files while this package is built.

An author rarely needs them: the rest of the package speaks of calls, facts and failures.
"""
