package plugin

import (
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCutTextKeepsHeadAndTailAndStaysWithinBounds(t *testing.T) {
	if cut := cutMiddle("0123456789abcdef", 11); cut != "012 … def" {
		t.Errorf("became %q", cut)
	}
	for _, text := range []string{strings.Repeat("a", 100), strings.Repeat("ä€🙂", 30)} {
		for limit := 5; limit < 60; limit++ {
			if cut := cutMiddle(text, limit); len(cut) > limit || !strings.Contains(cut, "…") || !utf8.ValidString(cut) {
				t.Errorf("%d bytes: %q", limit, cut)
			}
		}
	}
}

func TestPausesStayBelowACeilingThatDoublesToFiveSeconds(t *testing.T) {
	for range 50 {
		var b backoff
		for _, ceiling := range []time.Duration{200, 400, 800, 1600, 3200, 5000, 5000} {
			if span := b.next(); span < shortestPause || span > ceiling*time.Millisecond {
				t.Errorf("%v below %d ms", span, ceiling)
			}
		}
	}
}

func TestWhatIsAdvertisedLeadsToThePlugin(t *testing.T) {
	for _, row := range []struct{ setting, bound, plain string }{
		{"", "0.0.0.0:7001", ":7001"}, {"", "[::]:7001", ":7001"}, {"", "127.0.0.1:7001", "127.0.0.1:7001"},
		{"pods.tools:9", "0.0.0.0:7001", "pods.tools:9"}, {"https://pods.tools:9", "0.0.0.0:7001", "https://pods.tools:9"},
	} {
		bound, err := net.ResolveTCPAddr("tcp", row.bound)
		if err != nil {
			t.Fatal(err)
		}
		if told := advertised(row.setting, bound, false); told != row.plain {
			t.Errorf("%v is advertised as %s", row, told)
		}
		if told := advertised(row.setting, bound, true); told != "https://"+strings.TrimPrefix(row.plain, "https://") {
			t.Errorf("%v is advertised as %s by TLS", row, told)
		}
	}
}

func TestKeysThatAreTooManyMakeRoomByAge(t *testing.T) {
	now := time.Unix(0, 0)
	k := newKeyed(func() time.Time { return now })
	for n := range maxKeys + 10 {
		now = now.Add(time.Second)
		c, failure := k.claim("tool", strings.Repeat("k", n+1), "{}")
		if failure != nil || !c.isFirst {
			t.Fatalf("key %d: %v", n, failure)
		}
		k.settle(c, settle(&Output{}, nil, "p", EffectsMaybe))
	}
	if len(k.entries) > maxKeys {
		t.Errorf("%d keys are kept", len(k.entries))
	}
	if c, _ := k.claim("tool", strings.Repeat("k", maxKeys+10), "{}"); c.isFirst {
		t.Error("the newest key was forgotten")
	}
	now = now.Add(maxKeyAge + time.Hour)
	if c, _ := k.claim("tool", strings.Repeat("k", maxKeys+10), "{}"); !c.isFirst || len(k.entries) != 1 || k.bytes != 0 {
		t.Errorf("%d keys of %d bytes are kept beyond their time", len(k.entries), k.bytes)
	}
}
