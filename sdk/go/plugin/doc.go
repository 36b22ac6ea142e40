// Package plugin makes a plugin of agentd out of a few functions: it serves them over gRPC or holds
// relay slots, keeps the lease, checks arguments, keeps deadlines, cancels, limits of size and rate of
// the contract agentd.tool.v1, masks secrets, and drains when told to stop. The author writes what a
// tool does:
//
//	type Args struct {
//		Queue string `json:"queue" jsonschema:"Name of the queue."`
//	}
//
//	func main() {
//		p := plugin.New("queues", "1.0.0")
//		plugin.ReadOnly(p, "check_queue", "Tells how many messages wait in a queue.", check).
//			Applies(plugin.FromStart(`{"queue":"{service}"}`).Emits("queues.backlog"))
//		p.Main()
//	}
//
//	func check(ctx context.Context, call *plugin.Call, args Args) (*plugin.Output, error) {
//		waiting := 7
//		return &plugin.Output{
//			Result: map[string]int{"waiting": waiting},
//			Observations: []plugin.Observation{{
//				Signal:    "queues.backlog",
//				Subject:   plugin.Object("Queue", "", args.Queue),
//				Statement: fmt.Sprintf("%d messages wait in %s", waiting, args.Queue),
//			}},
//		}, nil
//	}
//
// Settings come from the environment, see FromEnvironment. Package plugintest runs a plugin in a test.
//
// A panic of a tool is told as a defect and the plugin goes on; one in a goroutine that the tool
// started ends the process, as Go has no way to catch it.
package plugin
