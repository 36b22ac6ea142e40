package plugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/plugintest"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

func limits(change func(*toolv1.CallLimits)) plugintest.Change {
	return func(request *toolv1.CallRequest) { change(request.Limits) }
}

func timeout(d time.Duration) plugintest.Change {
	return limits(func(l *toolv1.CallLimits) { l.Timeout = durationpb.New(d) })
}

func TestWhatIsSentArrivesAsItWas(t *testing.T) {
	inBothModes(t, probes, func(t *testing.T, r *running) {
		// 2^53 + 1, four bytes of UTF-8, a control character, and what HTML would escape.
		for _, arguments := range []string{
			`{"text":"a🙂\u0001<&>","number":9007199254740993}`,
			`{"text":"` + strings.Repeat("x", 256<<10-11) + `"}`,
		} {
			outcome := r.outcome(r.call("echo", arguments, limits(func(l *toolv1.CallLimits) { l.MaxResultBytes = 1 << 20 })))
			if got := outcome.Result.GetResultJson(); got != arguments {
				t.Errorf("%.80s came back as %.80s", arguments, got)
			}
		}
		traced := r.outcome(r.call("echo", `{"text":""}`, func(request *toolv1.CallRequest) {
			request.Context = &toolv1.CallContext{Principal: "ann", TraceContext: map[string]string{"traceparent": "00-1-2-01"}}
		}))
		if traced.Result.GetSummary() != "00-1-2-01 ann" {
			t.Errorf("the call's trace and asker came as %q", traced.Result.GetSummary())
		}
	})
}

func TestEachWrongArgumentIsNamed(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{})
	r.await(registered(1))
	for arguments, fields := range map[string]string{
		``:                              "arguments.text",
		`{"a":1,"b":2}`:                 "arguments.a arguments.b arguments.text",
		`{"text":7}`:                    "arguments.text",
		`{"text":"x","number":1.5}`:     "arguments.number",
		`{"text":"x","kind":"c"}`:       "arguments.kind",
		`{"text":"x","small":300}`:      "arguments.small",
		`{"text":"x","number":1e99999}`: "arguments.number",
		`{"text":"x","number":1e300}`:   "arguments.number",
		`{"text":"x","nested":[{"port":1},{"port":"y","z":1}]}`: "arguments.nested[1].port arguments.nested[1].z",
		`[]`:              "arguments",
		`{`:               "arguments",
		`{"text":"x"} {}`: "arguments",
		`{"TEXT":"x"}`:    "arguments.TEXT arguments.text",
		`{"text":"` + strings.Repeat("x", 256<<10) + `"}`: "arguments",
	} {
		outcome := r.outcome(r.call("echo", arguments))
		failure := outcome.Failure
		if failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT || failure.GetCode() != int32(codes.InvalidArgument) ||
			failure.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE || len(outcome.Updates) != 1 {
			t.Errorf("%.60s was answered %v", arguments, outcome.Updates)
		}
		var named []string
		for _, violation := range failure.GetViolations() {
			named = append(named, violation.GetField())
			if violation.GetDescription() == "" {
				t.Errorf("%s has no description", violation.GetField())
			}
		}
		for _, field := range strings.Fields(fields) {
			if !strings.Contains(" "+strings.Join(named, " ")+" ", " "+field+" ") {
				t.Errorf("%.60s: %v does not name %s", arguments, named, field)
			}
		}
		if len(named) != len(strings.Fields(fields)) {
			t.Errorf("%.60s: %v is named", arguments, named)
		}
	}
	secret := r.outcome(r.call("echo", `{"text":"x","pin":"four-two"}`))
	if strings.Contains(fmt.Sprint(secret.Failure), "four") {
		t.Errorf("a sensitive value is repeated: %v", secret.Failure)
	}
}

func TestAPanicIsADefectAndThePluginGoesOn(t *testing.T) {
	inBothModes(t, probes, func(t *testing.T, r *running) {
		for what, reason := range map[string]string{"panic": "PANIC", "exit": "PANIC", "write": "PANIC", "odd": "EXCEPTION"} {
			failure := r.outcome(r.call("fail", `{"text":"`+what+`"}`)).Failure
			if failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_BUG || failure.GetReason() != reason {
				t.Errorf("%s was told as %v", what, failure)
			}
			if text := failure.GetMessage(); strings.Contains(text, "abcdef") || strings.Contains(text, "hunter2") {
				t.Errorf("a secret left in %q", text)
			}
		}
		if outcome := r.outcome(r.call("echo", `{"text":"on"}`)); outcome.Failure != nil {
			t.Errorf("after a panic: %v", outcome.Failure)
		}
	})
}

func TestATypedFailureIsToldAsItIsAndBounded(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{})
	r.await(registered(1))
	missing := r.outcome(r.call("fail", `{"text":"missing"}`)).Failure
	if missing.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_NOT_FOUND || missing.GetResource() != "queue orders" || missing.GetDomain() != "probes" {
		t.Errorf("told as %v", missing)
	}
	external := r.outcome(r.call("fail", `{"text":"external"}`)).Failure
	if external.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_EXTERNAL || external.GetDomain() != "rabbitmq" ||
		len(external.GetMessage()) > 2048 || strings.Contains(external.GetMessage(), "hunter2") {
		t.Errorf("told as %v", external)
	}
}

func TestACancelStopsTheWork(t *testing.T) {
	stopped := make(chan error, 1)
	p := func() *plugin.Plugin {
		p := plugin.New("probes", "1.0.0")
		plugin.ReadOnly(p, "hang", "Hangs.", func(ctx context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
			call.Log(plugin.Info, "begun")
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return nil, ctx.Err()
		})
		return p
	}
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		r := begin(t, p(), fake.New(), plugin.Options{Mode: mode})
		r.await(registered(1))
		exchange := r.call("hang", "")
		r.next(exchange)
		r.next(exchange)
		exchange.Cancel()
		within(t, "the work to stop", stopped)
		updates, err := exchange.All()
		if mode == plugin.Relay {
			// The slot still hears the last update.
			if last := updates[len(updates)-1].GetFailure(); err != nil || last.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_CANCELLED {
				t.Errorf("the last update is %v, %v", last, err)
			}
		} else if status.Code(err) != codes.Canceled {
			t.Errorf("ended with %v", err)
		}
		r.stop()
		r.end()
	}
}

func TestATimeoutIsToldAlsoWhereTheWorkDoesNotListen(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		deaf := make(chan struct{})
		p := probes()
		plugin.Changing(p, "deaf", "Does not listen.", plugin.Additive, plugin.Low, func(context.Context, *plugin.Call, nothing) (*plugin.Output, error) {
			<-deaf
			return nil, nil
		})
		r := begin(t, p, fake.New(), plugin.Options{Mode: mode})
		r.await(registered(1))
		for tool, effects := range map[string]toolv1.EffectState{
			"wait": toolv1.EffectState_EFFECT_STATE_NONE, "deaf": toolv1.EffectState_EFFECT_STATE_MAYBE,
		} {
			began := time.Now()
			failure := r.outcome(r.call(tool, "", timeout(100*time.Millisecond))).Failure
			if failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_TIMEOUT || failure.GetEffects() != effects {
				t.Errorf("%s: %s was told as %v", mode, tool, failure)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: %s took %v", mode, tool, took)
			}
		}
		close(deaf)
		for _, none := range []time.Duration{0, -time.Second} {
			late := r.outcome(r.call("wait", "", timeout(none)))
			if late.Failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_TIMEOUT || len(late.Updates) != 1 {
				t.Errorf("%s: without time left: %v", mode, late.Updates)
			}
		}
	}
}

func TestALargeResultComesInPiecesThatFit(t *testing.T) {
	inBothModes(t, probes, func(t *testing.T, r *running) {
		whole := r.outcome(r.call("large", `{"bytes":3000000}`, limits(func(l *toolv1.CallLimits) { l.MaxResultBytes = 8 << 20 })))
		var text string
		if err := whole.Read(&text); err != nil || text != strings.Repeat("ä🙂\x01\"", 300000) || whole.Result.GetTruncated() {
			t.Errorf("%d bytes came back: %v", len(text), err)
		}
		facts := r.outcome(r.call("large", `{"facts":500,"bytes":100000}`))
		if n := len(facts.Result.GetObservations()); n != 500 {
			t.Errorf("%d facts came back", n)
		}
		if last := facts.Result.GetObservations()[499].GetSubject().GetName(); last != "p-499" {
			t.Errorf("the last fact is of %s", last)
		}
		for _, update := range append(whole.Updates, facts.Updates[:len(facts.Updates)-1]...) {
			if size := proto.Size(update); size > 512<<10 && update.GetResult() == nil {
				t.Errorf("an update has %d bytes", size)
			}
		}
	})
}

func TestAResultOverTheLimitIsCutToValidJSON(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{})
	r.await(registered(1))
	for _, limit := range []int32{1, 2, 40, 4096} {
		result := r.outcome(r.call("large", `{"bytes":100000}`, limits(func(l *toolv1.CallLimits) { l.MaxResultBytes = limit }))).Result
		text := result.GetResultJson()
		if len(text) > int(limit) || text != "" && !json.Valid([]byte(text)) || !result.GetTruncated() || result.GetTotalBytes() < 100000 {
			t.Errorf("limit %d: %d bytes, %.60q, truncated %v of %d", limit, len(text), text, result.GetTruncated(), result.GetTotalBytes())
		}
	}
	if facts := r.outcome(r.call("large", `{"facts":501}`)).Result; len(facts.GetObservations()) != 500 || !facts.GetTruncated() {
		t.Errorf("%d facts, truncated %v", len(facts.GetObservations()), facts.GetTruncated())
	}
}

func TestCallsAtOnceDoNotMix(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		t.Run(string(mode), func(t *testing.T) {
			r := begin(t, probes(), fake.New(), plugin.Options{Mode: mode, Slots: 64, MaxConcurrentCalls: 64})
			r.await(registered(1))
			var all sync.WaitGroup
			for n := range 64 {
				all.Go(func() {
					for round := range 4 {
						text := fmt.Sprintf(`{"text":"%d.%d","number":%d}`, n, round, n+1)
						exchange, err := r.agentd.Begin(context.Background(), request("echo", text))
						if err != nil {
							t.Error(err)
							return
						}
						updates, err := exchange.All()
						outcome, fault := plugintest.Join(updates)
						if err != nil || fault != "" || outcome.Result.GetResultJson() != text {
							t.Errorf("%s was answered %v, %s, %v", text, updates, fault, err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func TestOneCallMoreThanThereArePlacesIsToldToComeBack(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{MaxConcurrentCalls: 2})
	r.await(registered(1))
	held := []*fake.Exchange{r.call("wait", ""), r.call("wait", "")}
	for _, exchange := range held {
		r.next(exchange)
	}
	failure := r.outcome(r.call("echo", `{"text":"x"}`)).Failure
	if failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_RATE_LIMITED || failure.GetRetryDelay().AsDuration() != time.Second ||
		failure.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE {
		t.Errorf("told as %v", failure)
	}
	for _, exchange := range held {
		exchange.Cancel()
		_, _ = exchange.All()
	}
}

func TestTheOrderOfChecksAndWhatEachSays(t *testing.T) {
	var acted atomic.Int32
	p := probes()
	act := func(_ context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
		if call.DryRun {
			return &plugin.Output{PlannedEffects: []string{"would act"}}, nil
		}
		acted.Add(1)
		return nil, nil
	}
	plugin.Changing(p, "act", "Acts.", plugin.Additive, plugin.Low, act)
	plugin.Changing(p, "rehearse", "Acts or rehearses.", plugin.Additive, plugin.Low, act).DryRun()
	r := begin(t, p, fake.New(), plugin.Options{})
	r.await(registered(1))
	mode := func(mode toolv1.CallMode) plugintest.Change {
		return func(request *toolv1.CallRequest) { request.Mode = mode }
	}
	for _, row := range []struct {
		name, tool string
		change     plugintest.Change
		class      toolv1.FailureClass
		code       codes.Code
		says       string
	}{
		{"unknown tool", "nothing", nil, toolv1.FailureClass_FAILURE_CLASS_CONFIG, codes.NotFound, "UNKNOWN_TOOL"},
		{"other plugin", "act", func(r *toolv1.CallRequest) { r.Tool.Plugin = "other" }, toolv1.FailureClass_FAILURE_CLASS_CONFIG, codes.NotFound, "UNKNOWN_TOOL"},
		{"unknown digest before wrong mode", "act", func(r *toolv1.CallRequest) { r.Tool.Digest = "sha256:x"; r.Mode = toolv1.CallMode_CALL_MODE_DRY_RUN },
			toolv1.FailureClass_FAILURE_CLASS_CONFIG, codes.FailedPrecondition, "DESCRIPTOR_MISMATCH"},
		{"dry run not supported, before wrong arguments", "act", func(r *toolv1.CallRequest) { r.Mode = toolv1.CallMode_CALL_MODE_DRY_RUN; r.ArgumentsJson = "[" },
			toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, codes.InvalidArgument, "mode"},
		{"mode unset", "act", mode(toolv1.CallMode_CALL_MODE_UNSPECIFIED), toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, codes.InvalidArgument, "mode"},
		{"mode unknown", "act", mode(77), toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, codes.InvalidArgument, "mode"},
		{"wrong arguments before no time", "act", func(r *toolv1.CallRequest) { r.ArgumentsJson = `{"x":1}`; r.Limits.Timeout = durationpb.New(0) },
			toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, codes.InvalidArgument, "arguments.x"},
	} {
		changes := []plugintest.Change{}
		if row.change != nil {
			changes = append(changes, row.change)
		}
		outcome := r.outcome(r.call(row.tool, "", changes...))
		if f := outcome.Failure; f.GetFailureClass() != row.class || f.GetCode() != int32(row.code) || !strings.Contains(fmt.Sprint(f), row.says) ||
			f.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE || len(outcome.Updates) != 1 {
			t.Errorf("%s: %v", row.name, outcome.Updates)
		}
	}
	if acted.Load() != 0 {
		t.Error("a refused call acted")
	}
	good := r.outcome(r.call("act", "", func(r *toolv1.CallRequest) { r.Tool.Digest = fake.DigestOf("act", "1.0.0") }))
	if good.Failure != nil || acted.Load() != 1 {
		t.Errorf("the digest that was given: %v", good.Failure)
	}
	for _, dry := range []toolv1.CallMode{toolv1.CallMode_CALL_MODE_DRY_RUN, toolv1.CallMode_CALL_MODE_UNSPECIFIED} {
		if planned := r.outcome(r.call("rehearse", "", mode(dry))).Result.GetPlannedEffects(); len(planned) != 1 || acted.Load() != 1 {
			t.Errorf("mode %v planned %v and acted %d times", dry, planned, acted.Load())
		}
	}
	conn, err := r.agentd.Conn(insecureOption())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, header := range []string{"", "Bearer wrong", "Basic wrong"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", header)
		stream, err := toolv1.NewToolServiceClient(conn).Call(ctx, request("act", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%q was answered %v", header, err)
		}
	}
	if acted.Load() != 1 {
		t.Error("a stranger's call acted")
	}
}

func TestSecretsAndBrokenTextNeverLeave(t *testing.T) {
	inBothModes(t, probes, func(t *testing.T, r *running) {
		outcome := r.outcome(r.call("secrets", ""))
		if outcome.Failure != nil || len(outcome.Updates) != 4 {
			t.Fatalf("answered %v", outcome.Updates)
		}
		for _, update := range outcome.Updates {
			if text := protojson.Format(update); strings.Contains(text, "hunter2") {
				t.Errorf("a secret left in %s", text)
			}
		}
	})
}

func TestProgressGrowsAndKeepsItsPace(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{})
	r.await(registered(1))
	count := func(interval time.Duration) int {
		outcome := r.outcome(r.call("progress", "", limits(func(l *toolv1.CallLimits) { l.MinProgressInterval = durationpb.New(interval) })))
		return len(outcome.Updates) - 2
	}
	if fast, slow := count(0), count(time.Hour); fast != 1000 || slow != 1 {
		t.Errorf("%d updates without a pace, %d with one an hour", fast, slow)
	}
}

func TestASlowReaderHoldsTheToolBack(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		var logged atomic.Int32
		began := make(chan struct{}, 1)
		p := plugin.New("probes", "1.0.0")
		plugin.ReadOnly(p, "chatter", "Talks a lot.", func(_ context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
			for n := range 6000 {
				call.Log(plugin.Info, strings.Repeat("x", 2000))
				if logged.Add(1); n == 1 {
					began <- struct{}{}
				}
			}
			return nil, nil
		})
		r := begin(t, p, fake.New(), plugin.Options{Mode: mode})
		r.await(registered(1))
		exchange := r.call("chatter", "")
		within(t, "the tool to begin", began)
		// It has come to rest once nothing more is logged for a while.
		for last := int32(-1); last != logged.Load(); {
			last = logged.Load()
			<-time.After(50 * time.Millisecond)
		}
		if told := logged.Load(); told > 3000 {
			t.Errorf("%s: %d lines of 2 kB wait for the reader", mode, told)
		}
		if updates := r.outcome(exchange).Updates; len(updates) != 6002 {
			t.Errorf("%s: %d updates came in the end", mode, len(updates))
		}
	}
}
