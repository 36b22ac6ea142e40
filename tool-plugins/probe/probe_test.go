package probe

import (
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"agentd.dev/sdk/go/plugintest"
	"agentd.dev/sdk/go/toolv1"
)

// quiet takes what servers say of clients that hang up.
var quiet = log.New(io.Discard, "", 0)

func expect(t *testing.T, outcome plugintest.Outcome, signal, why string) *toolv1.Observation {
	t.Helper()
	for _, seen := range outcome.Result.GetObservations() {
		if seen.GetSignal() == signal && seen.GetAttributes()["why"] == why {
			return seen
		}
	}
	t.Errorf("%s (%s) was not seen, but %v, failure %v", signal, why, outcome.Result.GetObservations(), outcome.Failure)
	return &toolv1.Observation{}
}

func refused(t *testing.T, outcome plugintest.Outcome, class toolv1.FailureClass, reason string) {
	t.Helper()
	if outcome.Failure.GetFailureClass() != class || outcome.Failure.GetReason() != reason || !strings.Contains(outcome.Failure.GetMessage(), "PROBE_ALLOW") {
		t.Errorf("was not refused with %s, but %v %v", reason, outcome.Failure, outcome.Result)
	}
}

func TestWhyANameDoesNotResolveIsToldApart(t *testing.T) {
	w := newWorld(t)
	w.name("here.test", "->alias.test 192.0.2.7 192.0.2.8")
	kit := w.plugin("*.test:8443")
	for host, why := range map[string]string{
		"nothing.test": "nxdomain", "servfail.test": "servfail", "silent.test": "timeout", "empty.test": "no_address",
	} {
		seen := expect(t, kit.Call("resolve", `{"host":"`+host+`"}`), "probe.dns_failed", why)
		if seen.GetSubject().GetKind() != "External" || seen.GetSubject().GetName() != host {
			t.Errorf("%s is about %v", host, seen.GetSubject())
		}
	}
	outcome := kit.Call("resolve", `{"host":"Here.Test."}`)
	expect(t, outcome, "probe.resolved", "")
	var found resolved
	if err := outcome.Read(&found); err != nil || len(found.Addresses) != 2 || !slices.Equal(found.Aliases, []string{"alias.test"}) || *found.LeastTTL != 30 || found.Seconds <= 0 {
		t.Errorf("read %+v, %v", found, err)
	}
	refused(t, kit.Call("resolve", `{"host":"here.other"}`), toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, "NOT_ALLOWED")
	if w.timesAsked("here.other") != 0 {
		t.Error("a name that is not on the list was asked for")
	}
}

func TestWithoutAListNothingIsProbedAndTheSettingIsNamed(t *testing.T) {
	w := newWorld(t)
	kit := w.plugin("")
	for tool, arguments := range map[string]string{
		"resolve": `{"host":"a.test"}`, "connect": `{"host":"127.0.0.1"}`, "check_certificate": `{"host":"a.test"}`, "check_url": `{"url":"http://a.test/"}`,
	} {
		refused(t, kit.Call(tool, arguments), toolv1.FailureClass_FAILURE_CLASS_CONFIG, "NOTHING_ALLOWED")
	}
}

func TestWhyAPortTakesNoConnectionIsToldApart(t *testing.T) {
	w := newWorld(t)
	w.name("here.test", "127.0.0.1")
	kit := w.plugin("*.test,127.0.0.0/8")
	open, taken := w.listen()
	seen := expect(t, kit.Call("connect", `{"host":"here.test:`+open+`"}`), "probe.connected", "")
	if count := taken.Load(); count != 1 || seen.GetValue() <= 0 || seen.GetUnit() != "s" {
		t.Errorf("%d connections, seen %v", count, seen)
	}
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	port := portOf(closed.Addr())
	_ = closed.Close()
	expect(t, kit.Call("connect", `{"host":"here.test","port":`+port+`}`), "probe.unreachable", "refused")
	expect(t, kit.Call("connect", `{"host":"nothing.test"}`), "probe.dns_failed", "nxdomain")
	// The time of the call is over before the system gives up: told as a time-out of the call.
	full := fullListener(t)
	outcome := kit.Call("connect", `{"host":"here.test","port":`+full+`}`, plugintest.Within(300*time.Millisecond))
	if outcome.Failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_TIMEOUT {
		t.Errorf("a full listener: %v %v", outcome.Failure, outcome.Result)
	}
	expect(t, kit.Call("connect", `{"host":"here.test","port":`+full+`}`), "probe.unreachable", "timeout")
}

// fullListener gives the port of a listener whose backlog is full: what comes next waits in vain.
func fullListener(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: bound.(*syscall.SockaddrInet4).Port}).String()
	for range 16 {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			_, port, _ := net.SplitHostPort(address)
			return port
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the backlog does not fill")
	return ""
}

func TestANameThatLeadsToARefusedPlaceIsNotConnectedTo(t *testing.T) {
	w := newWorld(t)
	port, taken := w.listen()
	w.name("metadata.test", "169.254.169.254")
	w.name("mixed.test", "127.0.0.1 169.254.169.254")
	kit := w.plugin("*.test,127.0.0.0/8,0.0.0.0/0")
	for _, host := range []string{"metadata.test", "mixed.test", "169.254.169.254", "[::ffff:169.254.169.254]"} {
		refused(t, kit.Call("connect", `{"host":"`+host+`:`+port+`"}`), toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, "ADDRESS_REFUSED")
	}
	// Without a network that names it, this machine is refused as well.
	w.name("loop.test", "127.0.0.1")
	refused(t, w.plugin("*.test").Call("connect", `{"host":"loop.test:`+port+`"}`), toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, "ADDRESS_REFUSED")
	if taken.Load() != 0 {
		t.Error("a refused place was connected to")
	}
}

func TestANameIsLookedUpOnceAndTheVeryAddressDialled(t *testing.T) {
	w := newWorld(t)
	first, taken := w.listen()
	// What it leads to changes after the first answer, to a place that is refused.
	w.name("rebinds.test", "127.0.0.1", "169.254.169.254")
	kit := w.plugin("*.test,127.0.0.0/8")
	expect(t, kit.Call("connect", `{"host":"rebinds.test:`+first+`"}`), "probe.connected", "")
	if asked, count := w.timesAsked("rebinds.test"), taken.Load(); asked != 1 || count != 1 {
		t.Errorf("looked up %d times, connected %d times", asked, count)
	}
	refused(t, kit.Call("connect", `{"host":"rebinds.test:`+first+`"}`), toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT, "ADDRESS_REFUSED")
	w.name("web.test", "127.0.0.1", "169.254.169.254")
	port := w.web(nil, func(http.ResponseWriter, *http.Request) {})
	expect(t, kit.Call("check_url", `{"url":"http://web.test:`+port+`/"}`), "probe.http_answered", "")
	if asked := w.timesAsked("web.test"); asked != 1 {
		t.Errorf("a page's host was looked up %d times", asked)
	}
}

func TestWhatIsWrongWithACertificateIsTold(t *testing.T) {
	w := newWorld(t)
	w.name("here.test", "127.0.0.1")
	kit := w.plugin("*.test,127.0.0.0/8")
	stranger := newAuthority(t)
	nothing := func(http.ResponseWriter, *http.Request) {}
	ask := func(port string) plugintest.Outcome {
		return kit.Call("check_certificate", `{"host":"here.test","port":`+port+`}`)
	}
	good := ask(w.web(w.ca.issue(-1, 90, "here.test", "other.test"), nothing))
	valid := expect(t, good, "certificate.valid", "")
	var shown presented
	if err := good.Read(&shown); err != nil || shown.Protocol != "TLS 1.3" || shown.DaysLeft < 89 || shown.DaysLeft > 91 || len(shown.Faults) != 0 ||
		!strings.Contains(shown.Issuer, "Test Authority") || valid.GetAttributes()["names"] != "here.test,other.test" {
		t.Errorf("shown %+v, %v, %v", shown, err, valid)
	}
	expired := expect(t, ask(w.web(w.ca.issue(-90, -2, "here.test"), nothing)), "certificate.expired", "expired")
	if expired.GetStartTime().AsTime().After(time.Now().Add(-47*time.Hour)) || expired.GetSubject().GetKind() != "External" || expired.GetAttributes()["not_after"] == "" {
		t.Errorf("seen %v", expired)
	}
	expect(t, ask(w.web(w.ca.issue(2, 90, "here.test"), nothing)), "certificate.expired", "not_yet_valid")
	expect(t, ask(w.web(w.ca.issue(-1, 90, "other.test"), nothing)), "probe.certificate_untrusted", "wrong_name")
	expect(t, ask(w.web(stranger.issue(-1, 90, "here.test"), nothing)), "probe.certificate_untrusted", "unknown_authority")
	expect(t, ask(w.web(w.ca.selfSigned("here.test"), nothing)), "probe.certificate_untrusted", "self_signed")
	if left := expect(t, ask(w.web(w.ca.issue(-80, 5, "here.test"), nothing)), "probe.certificate_expiring", ""); left.GetValue() < 4.8 || left.GetValue() > 5.1 {
		t.Errorf("%v days are left", left.GetValue())
	}
	all := ask(w.web(stranger.issue(-90, -2, "other.test"), nothing))
	if signals := all.Signals(); len(signals) != 3 {
		t.Errorf("of three faults these were told: %v", signals)
	}
	plain, _ := w.listen()
	if outcome := ask(plain); len(outcome.Signals()) != 1 || outcome.Signals()[0] != "probe.tls_failed" {
		t.Errorf("without TLS: %v", outcome.Result)
	}
}

func TestAPageIsToldByItsStatusAndTimesAndNotByItsWords(t *testing.T) {
	w := newWorld(t)
	w.name("here.test", "127.0.0.1")
	kit := w.plugin("*.test,127.0.0.0/8")
	methods := make(chan string, 16)
	port := w.web(w.ca.issue(-1, 90, "here.test"), func(writer http.ResponseWriter, request *http.Request) {
		methods <- request.Method
		switch request.URL.Path {
		case "/down":
			writer.WriteHeader(http.StatusServiceUnavailable)
		case "/login":
			writer.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(writer, "the words of the page")
	})
	base := "https://here.test:" + port
	good := kit.Call("check_url", `{"url":"`+base+`/?q=1"}`)
	expect(t, good, "probe.http_answered", "")
	var read struct{ Requests []fetched }
	if err := good.Read(&read); err != nil || len(read.Requests) != 1 {
		t.Fatalf("read %v, %v", good.Result.GetResultJson(), err)
	}
	if one := read.Requests[0]; one.Status != 200 || one.Bytes != 21 || one.DNS <= 0 || one.Connect <= 0 || one.TLS <= 0 || one.FirstByte <= 0 ||
		one.Total < one.DNS+one.Connect+one.TLS+one.FirstByte {
		t.Errorf("told %+v", one)
	}
	if strings.Contains(good.Result.String(), "words of the page") {
		t.Error("the page's words are in the result")
	}
	expect(t, kit.Call("check_url", `{"url":"`+base+`/down"}`), "probe.http_failed", "status")
	expect(t, kit.Call("check_url", `{"url":"`+base+`/login","method":"HEAD"}`), "probe.http_turned_away", "")
	if a, b, c := <-methods, <-methods, <-methods; a != "GET" || b != "GET" || c != "HEAD" {
		t.Errorf("asked with %s %s %s", a, b, c)
	}
	bad := w.web(w.ca.issue(-90, -2, "here.test"), func(http.ResponseWriter, *http.Request) { t.Error("a server with a bad certificate was asked") })
	expect(t, kit.Call("check_url", `{"url":"https://here.test:`+bad+`/"}`), "certificate.expired", "expired")
	mute, _ := w.listen()
	expect(t, kit.Call("check_url", `{"url":"http://here.test:`+mute+`/"}`), "probe.http_failed", "http_fault")
	for _, wrong := range []string{"file:///etc/passwd", "here.test", "http://bob:hunter2@here.test/", "http:///x", "gopher://here.test/"} {
		outcome := kit.Call("check_url", `{"url":"`+wrong+`"}`)
		if outcome.Failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT || strings.Contains(outcome.Failure.String(), "hunter2") {
			t.Errorf("%s: %v", wrong, outcome.Failure)
		}
	}
	if outcome := kit.Call("check_url", `{"url":"`+base+`","method":"DELETE"}`); outcome.Failure.GetViolations()[0].GetField() != "arguments.method" {
		t.Errorf("DELETE: %v", outcome.Failure)
	}
}

func TestARedirectIsFollowedOnlyToWhatMayBeProbed(t *testing.T) {
	w := newWorld(t)
	w.name("here.test", "127.0.0.1")
	w.name("inside.test", "169.254.169.254")
	kit := w.plugin("*.test,127.0.0.0/8")
	secret, taken := w.listen()
	port := w.web(nil, func(writer http.ResponseWriter, request *http.Request) {
		to := map[string]string{
			"/on": "/end", "/out": "http://elsewhere.example:" + secret + "/", "/in": "http://169.254.169.254/latest/meta-data",
			"/named": "http://inside.test/", "/loop": "/loop", "/file": "file:///etc/passwd",
		}[request.URL.Path]
		if to != "" {
			http.Redirect(writer, request, to, http.StatusFound)
		}
	})
	call := func(path string) (plugintest.Outcome, int) {
		outcome := kit.Call("check_url", `{"url":"http://here.test:`+port+path+`"}`)
		var read struct{ Requests []fetched }
		if err := outcome.Read(&read); err != nil {
			t.Errorf("%s: %v %v", path, err, outcome.Failure)
		}
		return outcome, len(read.Requests)
	}
	if on, requests := call("/on"); requests != 2 || len(on.Result.GetGaps()) != 0 {
		t.Errorf("an allowed redirect: %v", on.Result)
	}
	for path, reason := range map[string]string{
		"/out": "NOT_ALLOWED", "/in": "ADDRESS_REFUSED", "/named": "ADDRESS_REFUSED", "/loop": "TOO_MANY_REDIRECTS", "/file": "INVALID_ARGUMENT",
	} {
		outcome, requests := call(path)
		gaps := outcome.Result.GetGaps()
		if len(gaps) != 1 || gaps[0].GetFailure().GetReason() != reason {
			t.Errorf("%s: %d requests, gaps %v", path, requests, gaps)
		}
		expect(t, outcome, "probe.http_answered", "")
	}
	if taken.Load() != 0 {
		t.Error("a redirect led where nothing may be probed")
	}
}

func TestAServiceOfTheClusterIsTheSubjectByItsName(t *testing.T) {
	for host, kind := range map[string]string{
		"checkout.shop.svc": "Service", "checkout.shop.svc.cluster.local": "Service", "svc.example.com": "External", "a.b.svc.example.com": "External",
	} {
		if subject := (target{host: host}).entity(); subject.Kind != kind {
			t.Errorf("%s is a %s", host, subject.Kind)
		}
	}
}

func TestEverySignalThatIsEmittedIsExplainedOrOfTheCatalogue(t *testing.T) {
	catalog := New(Settings{}).Catalog()
	var own []string
	for _, signal := range catalog.GetSignals() {
		own = append(own, signal.GetName())
	}
	for _, tool := range catalog.GetTools() {
		if tool.GetSideEffect() != toolv1.SideEffect_SIDE_EFFECT_READ_ONLY || len(tool.GetApplies()) != 2 || tool.GetCost().GetTypicalLatency().AsDuration() <= 0 {
			t.Errorf("%s is described as %v", tool.GetName(), tool)
		}
		for _, applies := range tool.GetApplies() {
			for _, signal := range applies.GetEmits() {
				if !slices.Contains(own, signal) && signal != "certificate.expired" && signal != "certificate.valid" {
					t.Errorf("%s may emit %s, which nobody explains", tool.GetName(), signal)
				}
			}
		}
	}
}

func TestALateAnswerIsSlow(t *testing.T) {
	if seen := (fetched{Status: 200, Total: 3.5}).observe(target{host: "here.test", port: 443}); seen.Signal != "probe.http_slow" {
		t.Errorf("told as %s", seen.Signal)
	}
}
