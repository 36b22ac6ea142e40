package probe

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"agentd.dev/sdk/go/plugin"
)

func TestOnlyWhatIsOnTheListIsAllowedByName(t *testing.T) {
	allow, err := ParseAllow(" *.example.com, checkout.shop.svc:8080 ,10.0.0.0/8:443,[fd00:1::/32]:443,192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	for host, isAllowed := range map[string]bool{
		"a.example.com:443": true, "a.b.example.com:9": true, "example.com:443": false, "badexample.com:443": false,
		"a.example.com.evil.org:443": false, "checkout.shop.svc:8080": true, "checkout.shop.svc:8081": false, "x.checkout.shop.svc:8080": false,
		"10.1.2.3:443": true, "10.1.2.3:80": false, "11.1.2.3:443": false, "192.0.2.7:5432": true, "192.0.2.8:5432": false,
		"[fd00:1::5]:443": true, "[fd00:2::5]:443": false, "A.EXAMPLE.COM.:443": true, "0x0a010203:443": false, "167837955:443": false,
	} {
		_, failure := (Settings{Allow: allow}).readTarget(host, 443)
		if (failure == nil) != isAllowed {
			t.Errorf("%s: %v", host, failure)
		}
		if failure != nil && (failure.Class != plugin.Invalid || !strings.Contains(failure.Message, "PROBE_ALLOW")) && !strings.Contains(host, "COM.") {
			t.Errorf("%s is refused with %v", host, failure)
		}
	}
}

func TestWhereOnlyMachinesAndCloudsAnswerIsRefusedUnlessNamedExactly(t *testing.T) {
	wide := "*.example.com,0.0.0.0/0,::/0"
	for _, row := range []struct {
		allow, address string
		isAllowed      bool
	}{
		{wide, "169.254.169.254", false}, {wide, "127.0.0.1", false}, {wide, "fd00:ec2::254", false}, {wide, "::1", false}, {wide, "fe80::1", false},
		{wide, "100.100.100.200", false}, {wide, "0.0.0.0", false}, {wide, "::", false}, {wide, "224.0.0.1", false}, {wide, "93.184.216.34", true}, {wide, "10.0.0.1", true},
		// IPv4 within IPv6 is where packets end.
		{wide, "::ffff:169.254.169.254", false}, {wide, "64:ff9b::a9fe:a9fe", false}, {wide, "2002:a9fe:a9fe::1", false}, {wide, "64:ff9b::5db8:d822", true},
		{"169.254.0.0/16", "169.254.169.254", true}, {"169.254.169.254", "169.254.169.254", true}, {"169.254.169.254:80", "169.254.169.254", false},
		{"169.0.0.0/8", "169.254.169.254", false}, {"127.0.0.0/8", "127.0.0.1", true}, {"fd00:ec2::254", "fd00:ec2::254", true},
		// Without networks a name may be anywhere ordinary, with them only there.
		{"*.example.com", "10.0.0.1", true}, {"*.example.com,10.1.0.0/16", "10.0.0.1", false}, {"*.example.com", "169.254.169.254", false},
	} {
		allow, err := ParseAllow(row.allow)
		if err != nil {
			t.Fatal(err)
		}
		if failure := allow.address(netip.MustParseAddr(row.address), 443, false); (failure == nil) != row.isAllowed {
			t.Errorf("%s with %s: %v", row.address, row.allow, failure)
		}
	}
}

func TestAListThatCannotBeReadIsRefusedWithAllThatIsWrong(t *testing.T) {
	for _, text := range []string{"*", "*.", "*a.example.com", "a..b", "http://x", "10.0.0.0/33", "a.example.com:0", "a.example.com:99999", "fd00::/8:443x", "a b", "ä.example"} {
		if _, err := ParseAllow(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	_, err := SettingsFromEnvironment(func(name string) string {
		return map[string]string{"PROBE_ALLOW": "*,10.0.0.0/99", "PROBE_RESOLVERS": "somewhere", "PROBE_CA_FILE": os.DevNull}[name]
	})
	var wrong *plugin.SettingsError
	if !errors.As(err, &wrong) || len(wrong.Faults) != 3 || !strings.Contains(wrong.Faults[0], "10.0.0.0/99") {
		t.Errorf("said %v", err)
	}
}
