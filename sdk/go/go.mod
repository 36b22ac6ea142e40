module agentd.dev/sdk/go

go 1.26.0

require (
	github.com/google/jsonschema-go v0.4.3 // MIT; JSON Schema from Go types, kept for the Go SDK of MCP
	github.com/google/uuid v1.6.0 // BSD-3-Clause; the id of an instance
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // Apache-2.0; checks arguments, tells each fault with its place
	golang.org/x/text v0.42.0 // BSD-3-Clause; words of those faults
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // Apache-2.0; typed details of refusals
	google.golang.org/grpc v1.85.0 // Apache-2.0; the wire, health, reflection
	google.golang.org/protobuf v1.36.12 // BSD-3-Clause; the messages
)

require (
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)
