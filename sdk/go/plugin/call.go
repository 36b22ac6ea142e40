package plugin

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Severity says how serious a log line is.
type Severity int32

// Severities of log lines.
const (
	Debug = Severity(toolv1.LogSeverity_LOG_SEVERITY_DEBUG)
	Info  = Severity(toolv1.LogSeverity_LOG_SEVERITY_INFO)
	Warn  = Severity(toolv1.LogSeverity_LOG_SEVERITY_WARN)
	Error = Severity(toolv1.LogSeverity_LOG_SEVERITY_ERROR)
)

// Trace is the W3C context of the call, to hand on to a backend.
type Trace struct {
	// Parent, State and Baggage are the values of traceparent, tracestate and baggage; empty when
	// there is none.
	Parent, State, Baggage string
}

// Asker says on whose behalf and why a call is made: for audit, never a credential.
type Asker struct {
	Investigation, Step, Principal, Environment, Approval string
}

// Call is what a tool works on. The zero value belongs to nothing and serves for unit tests of a tool.
// Its methods may be used from several goroutines, until the tool returns.
type Call struct {
	// ID of this attempt, a UUID.
	ID string
	// Attempt counts from 1.
	Attempt int
	// IdempotencyKey is the same for all attempts at one step with the same arguments.
	IdempotencyKey string
	// PageToken is where to go on, as Output.NextPage said; empty for the beginning.
	PageToken string
	// DryRun says to check everything, change nothing and fill Output.PlannedEffects. Only set for tools
	// that said that they can.
	DryRun bool
	// MaxResultBytes is the largest result that is taken as JSON; the SDK cuts a larger one.
	MaxResultBytes int
	// Trace is the context of the trace the call belongs to.
	Trace Trace
	// Asker says who asked.
	Asker Asker

	tool     string
	ctx      context.Context
	ending   context.Context
	updates  chan<- *toolv1.CallResponse
	over     <-chan struct{}
	interval time.Duration
	// protected says that a protected section was entered.
	protected atomic.Bool

	mu       sync.Mutex
	lastDone float64
	lastAt   time.Time
}

// Progress tells how far the work got: done grows, total is 0 when not known. What does not grow or
// comes too soon after the one before is dropped. Waits while the caller does not read.
func (c *Call) Progress(done, total float64, message string) {
	if !c.takes(done) {
		return
	}
	progress := &toolv1.CallProgress{Done: done, Message: told(message, maxLine)}
	if total > 0 && !math.IsInf(total, 0) {
		progress.Total = &total
	}
	c.tell(&toolv1.CallResponse{Update: &toolv1.CallResponse_Progress{Progress: progress}})
}

// Log tells a line that is worth keeping with the investigation. Waits while the caller does not read.
func (c *Call) Log(severity Severity, line string) {
	log := &toolv1.CallLog{Time: timestamppb.Now(), Severity: toolv1.LogSeverity(severity), Message: told(line, maxLine)}
	c.tell(&toolv1.CallResponse{Update: &toolv1.CallResponse_Log{Log: log}})
}

// Logger is for the plugin's own log: its records say which call they belong to, and to which trace.
func (c *Call) Logger() *slog.Logger {
	return slog.With("tool", c.tool, "call_id", c.ID, "traceparent", c.Trace.Parent)
}

// Protect runs work to its end although the call is withdrawn or its time is over meanwhile: for what
// must not stop half way. Its ctx ends only when the plugin stops and the time for that is over. Where
// the call is over already, work does not begin and the reason is returned. From then on a call that
// fails is told as one that may have changed something.
func (c *Call) Protect(work func(ctx context.Context) error) error {
	if c.ctx == nil {
		return work(context.Background())
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.protected.Store(true)
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.ctx))
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	return work(ctx)
}

func (c *Call) takes(done float64) bool {
	if math.IsNaN(done) || math.IsInf(done, 0) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.lastAt.IsZero() && (done <= c.lastDone || now.Sub(c.lastAt) < c.interval) {
		return false
	}
	c.lastDone, c.lastAt = done, now
	return true
}

func (c *Call) tell(update *toolv1.CallResponse) {
	if c.updates == nil {
		return
	}
	// What a straggler says after the last update is nobody's.
	select {
	case c.updates <- update:
	case <-c.over:
	case <-c.ctx.Done():
	}
}
