module agentd.dev/plugins/probe

go 1.26.0

require (
	agentd.dev/sdk/go v0.0.0
	github.com/google/jsonschema-go v0.4.3 // MIT; narrows the schema of arguments
	github.com/miekg/dns v1.1.73 // BSD-3-Clause; asks resolvers and shows their answers as they are
)

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/grpc v1.85.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace agentd.dev/sdk/go => ../../sdk/go
