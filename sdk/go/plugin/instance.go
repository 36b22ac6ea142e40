package plugin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// busyRetry is how soon a caller that met a full instance may come back.
const busyRetry = time.Second

// instance is one process of the plugin as agentd sees it: who may call, what may be called, and in
// which order that is checked. Refusals come before `accepted` and have no effects.
type instance struct {
	// id is drawn once a process.
	id string
	// callerToken is what agentd must present on each call that it dials.
	callerToken string
	catalog     *toolv1.PluginCatalog
	tools       []*Tool
	// places has room for the calls taken at once.
	places chan struct{}
	// calls are those that run or are not told to their end.
	calls *tracker
	keyed *keyed
	// draining is closed when no new call is taken.
	draining  chan struct{}
	drainOnce sync.Once
	// ending ends when running calls must.
	ending context.Context
	end    context.CancelFunc

	mu sync.Mutex
	// digests by tool and version, as agentd computed them.
	digests map[toolVersion]string
}

type toolVersion struct{ name, version string }

func newInstance(p *Plugin, capacity int) *instance {
	p.seal()
	token := make([]byte, 32)
	// Never fails: the process ends where the system has no randomness.
	_, _ = rand.Read(token)
	ending, end := context.WithCancel(context.Background())
	return &instance{
		id: uuid.NewString(), callerToken: hex.EncodeToString(token), catalog: p.catalog, tools: p.tools,
		places: make(chan struct{}, capacity), calls: newTracker(), keyed: newKeyed(time.Now),
		draining: make(chan struct{}), ending: ending, end: end,
	}
}

func (i *instance) drain() { i.drainOnce.Do(func() { close(i.draining) }) }

func (i *instance) isDraining() bool {
	select {
	case <-i.draining:
		return true
	default:
		return false
	}
}

// learnDigests takes over what agentd calls the accepted tools.
func (i *instance) learnDigests(verdicts []*toolv1.ToolVerdict) {
	digests := map[toolVersion]string{}
	for _, verdict := range verdicts {
		if tool := verdict.GetTool(); tool != nil && (verdict.GetAccepted() || verdict.GetQuarantined()) {
			digests[toolVersion{tool.GetTool(), tool.GetVersion()}] = tool.GetDigest()
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.digests = digests
}

func (i *instance) checkToken(ctx context.Context) error {
	headers, _ := metadata.FromIncomingContext(ctx)
	for _, header := range headers.Get("authorization") {
		scheme, token, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "bearer") {
			if subtle.ConstantTimeCompare([]byte(token), []byte(i.callerToken)) == 1 {
				return nil
			}
			return status.Error(codes.Unauthenticated, "the caller token is not the one registered")
		}
	}
	return status.Error(codes.Unauthenticated, "a caller token is needed: authorization: Bearer and the token of Register")
}

func (i *instance) find(wanted *toolv1.ToolRef) (*Tool, *Failure) {
	offered := i.catalog.GetPlugin()
	if wanted.GetPlugin() != "" && wanted.GetPlugin() != offered {
		return nil, unknownTool("this is plugin %s, not %s", offered, named(wanted.GetPlugin()))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	isNamed := false
	// The newest comes last.
	for n := len(i.tools) - 1; n >= 0; n-- {
		tool := i.tools[n].descriptor
		if tool.GetName() != wanted.GetTool() {
			continue
		}
		isNamed = true
		version, digest := wanted.GetVersion(), wanted.GetDigest()
		if (version == "" || version == tool.GetVersion()) &&
			(digest == "" || digest == i.digests[toolVersion{tool.GetName(), tool.GetVersion()}]) {
			return i.tools[n], nil
		}
	}
	if !isNamed {
		return nil, unknownTool("plugin %s has no tool %s", offered, named(wanted.GetTool()))
	}
	return nil, refusal(Config, "DESCRIPTOR_MISMATCH", "tool %s is not offered as version %q with digest %q",
		wanted.GetTool(), wanted.GetVersion(), wanted.GetDigest())
}

func unknownTool(format string, args ...any) *Failure {
	failure := refusal(Config, "UNKNOWN_TOOL", format, args...)
	failure.code = codes.NotFound
	return failure
}

// isDryRun says in which mode a call runs. Unset is never read as "act": it runs what changes nothing.
func isDryRun(mode toolv1.CallMode, tool *Tool) (bool, *Failure) {
	canDry := tool.descriptor.GetSupportsDryRun()
	switch {
	case mode == toolv1.CallMode_CALL_MODE_EXECUTE:
		return false, nil
	case mode == toolv1.CallMode_CALL_MODE_DRY_RUN && canDry:
		return true, nil
	case mode == toolv1.CallMode_CALL_MODE_DRY_RUN:
		return false, InvalidArgument("mode", "this tool does not support a dry run")
	case tool.isReadOnly():
		return false, nil
	case canDry:
		return true, nil
	default:
		return false, InvalidArgument("mode", "must be CALL_MODE_EXECUTE for a tool that changes something")
	}
}

// beginning is a call that passed all checks and has a place.
type beginning struct {
	tool    *Tool
	work    prepared
	request *toolv1.CallRequest
	bounds  bounds
	isDry   bool
	claim   *claim
}

// check looks at a call in the order of the contract; nothing has been changed when it refuses.
func (i *instance) check(request *toolv1.CallRequest) (beginning, *Failure) {
	refuse := func(failure *Failure) (beginning, *Failure) { return beginning{}, failure }
	if i.isDraining() {
		return refuse(draining())
	}
	tool, failure := i.find(request.GetTool())
	if failure != nil {
		return refuse(failure)
	}
	isDry, failure := isDryRun(request.GetMode(), tool)
	if failure != nil {
		return refuse(failure)
	}
	text, canonical, failure := tool.form.check(request.GetArgumentsJson())
	if failure != nil {
		return refuse(failure)
	}
	work, failure := readArguments(tool, text)
	if failure != nil {
		return refuse(failure)
	}
	bounds := boundsOf(request.GetLimits())
	if bounds.timeout <= 0 {
		return refuse(refusal(Timeout, "TIMEOUT", "no time was left when the call arrived"))
	}
	select {
	case i.places <- struct{}{}:
	default:
		failure := refusal(RateLimited, "AT_CAPACITY", "%d calls are running, no more are taken", cap(i.places))
		failure.RetryAfter = busyRetry
		return refuse(failure)
	}
	begun := beginning{tool: tool, work: work, request: request, bounds: bounds, isDry: isDry}
	isKeyed := tool.descriptor.GetIdempotency() == toolv1.Idempotency_IDEMPOTENCY_KEYED
	if key := request.GetIdempotencyKey(); isKeyed && key != "" && !isDry {
		begun.claim, failure = i.keyed.claim(tool.descriptor.GetName(), key, canonical)
		if failure != nil {
			<-i.places
			return refuse(failure)
		}
	}
	return begun, nil
}

// readArguments reads checked arguments; a panic of the author's UnmarshalJSON is a defect like any
// other.
func readArguments(tool *Tool, text string) (work prepared, failure *Failure) {
	defer func() {
		if recover() != nil {
			work, failure = nil, refusal(Bug, "PANIC", "reading the arguments panicked")
		}
	}()
	return tool.begin(text)
}

func draining() *Failure {
	return refusal(Transient, "DRAINING", "the plugin is stopping and takes no new calls")
}

// tracker counts calls until the last of them has been told to its end.
type tracker struct {
	mu      sync.Mutex
	running int
	// idle is closed while nothing runs.
	idle chan struct{}
}

func newTracker() *tracker {
	idle := make(chan struct{})
	close(idle)
	return &tracker{idle: idle}
}

func (t *tracker) enter() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == 0 {
		t.idle = make(chan struct{})
	}
	t.running++
}

func (t *tracker) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running--; t.running == 0 {
		close(t.idle)
	}
}

// wait waits until nothing runs, at most for limit.
func (t *tracker) wait(limit time.Duration) bool {
	t.mu.Lock()
	idle := t.idle
	t.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}
