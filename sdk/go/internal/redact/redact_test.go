package redact

import (
	"encoding/json"
	"strings"
	"testing"
)

// All secrets here are made up. Text, the secret in it, what becomes of it.
var secrets = [][3]string{
	{`password=hunter2`, `hunter2`, `password=[REDACTED]`},
	{`paſſword=hunter2`, `hunter2`, `paſſword=[REDACTED]`},
	{`PASSWD = hunter2 next`, `hunter2`, `PASSWD = [REDACTED] next`},
	{`DB_PASSWORD=hunter2;user=bob`, `hunter2`, `DB_PASSWORD=[REDACTED];user=bob`},
	{`Server=db;Uid=app;Pwd=hun!ter2;`, `hun!ter2`, `Server=db;Uid=app;Pwd=[REDACTED];`},
	{`secret=top-secret-words`, `top-secret-words`, `secret=[REDACTED]`},
	{`?user=a&token=abc&x=1`, `abc`, `?user=a&token=[REDACTED]&x=1`},
	{`api_key: k-12345`, `k-12345`, `api_key: [REDACTED]`},
	{`X-Api-Key: k-12345`, `k-12345`, `X-Api-Key: [REDACTED]`},
	{"password: hunter2\nuser: bob", `hunter2`, "password: [REDACTED]\nuser: bob"},
	{`{"password":"hun\"ter2","a":1}`, `ter2`, `{"password":"[REDACTED]","a":1}`},
	{`{"apiKey": "abc"}`, `abc`, `{"apiKey": "[REDACTED]"}`},
	{`{"secret":"x"}`, `"x"`, `{"secret":"[REDACTED]"}`},
	{`password: 'it''s'`, `it''s`, `password: '[REDACTED]'`},
	{`msg="{\"token\":\"abc\",\"a\":1}"`, `abc`, `msg="{\"token\":\"[REDACTED]\",\"a\":1}"`},
	{`password="never closed`, `never`, `password="[REDACTED]`},
	{`run --password hunter2 --deep`, `hunter2`, `run --password [REDACTED] --deep`},
	{`curl -u bob:hunter2 http://x`, `hunter2`, `curl -u bob:[REDACTED] http://x`},
	{`Authorization: Bearer abc.def`, `abc.def`, `Authorization: Bearer [REDACTED]`},
	{`authorization: Basic Ym9iOmh1bnRlcjI=`, `Ym9i`, `authorization: Basic [REDACTED]`},
	{`sent bearer Zm9vYmFyMTIz to it`, `Zm9v`, `sent bearer [REDACTED] to it`},
	{`Cookie: sid=31d4d96e407aad42`, `31d4`, `Cookie: [REDACTED]`},
	{`postgres://app:hunter2@db:5432/shop`, `hunter2`, `postgres://app:[REDACTED]@db:5432/shop`},
	{`redis://:hunter2@cache:6379`, `hunter2`, `redis://:[REDACTED]@cache:6379`},
	{`amqp://a:p@ss@mq/`, `p@ss`, `amqp://a:[REDACTED]@mq/`},
	{`mysql://a:sl/ash@db/x`, `sl/ash`, `mysql://a:[REDACTED]@db/x`},
	{`app:hunter2@tcp(db:3306)/shop`, `hunter2`, `app:[REDACTED]@tcp(db:3306)/shop`},
	{`id AKIAABCDEFGHIJKLMNOP used`, `AKIA`, `id [REDACTED] used`},
	{`aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYabcdefGHIJ`, `wJalr`, `aws_secret_access_key = [REDACTED]`},
	{`jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end`, `eyJ`, `jwt [REDACTED] end`},
	{`ghp_abcdefghijklmnopqrstuvwxyz0123456789`, `ghp_`, `[REDACTED]`},
	{`xoxb-123456789012-abcdef`, `xoxb`, `[REDACTED]`},
	{`key sk-proj-Abcdef0123456789abcdef`, `Abcdef`, `key sk-[REDACTED]`},
	{"a -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- b", `MIIE`, `a [REDACTED] b`},
	{`-----BEGIN PRIVATE KEY-----\nMIIEcut`, `MIIE`, `[REDACTED]`},
	{"MIIEtail\nabc=\n-----END PRIVATE KEY-----", `MIIE`, `[REDACTED]`},
	{`X-Vault-Token: s.a1b2c3d4e5f6`, `a1b2`, `X-Vault-Token: [REDACTED]`},
}

func TestTheCommonShapesAreMaskedAndTheRestStays(t *testing.T) {
	for _, row := range secrets {
		if masked := Text(row[0]); masked != row[2] || strings.Contains(masked, row[1]) {
			t.Errorf("%q became %q, not %q", row[0], masked, row[2])
		}
	}
}

func TestNamesAndProseAreEvidenceAndStay(t *testing.T) {
	for _, text := range []string{
		`Error: secret "db-creds" not found`,
		`MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found`,
		`secrets "db-creds" is forbidden`,
		`couldn't find key DB_PASSWORD in Secret shop/db-creds`,
		`secret: db-creds`,
		`references non-existent secret key: DB_PASSWORD`,
		`secretName: db-creds`,
		`SyntaxError: Unexpected token } in JSON at position 7`,
		`unexpected token: end of file`,
		`password authentication failed for user "app"`,
		`password: must be set`,
		`flag --token is deprecated`,
		`DB_PASSWORD=`,
		`password=${DB_PASSWORD}`,
		`token: null`,
		`PWD=/app/bin`,
		`DB_PASSWORD: <set to the key 'password' in secret 'db'>`,
		`basic authentication is required`,
		`the bearer authorization header is missing`,
		`http://web:8080/path?to=a@b`,
		`image sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef`,
		`pod sk-worker-6d5f7c9b8d-abcde-fgh was deleted`,
		`tokens=500 token_count=7 maxTokens: 9`,
		`could not translate host name "db.shop" to address`,
	} {
		if masked := Text(text); masked != text {
			t.Errorf("%q became %q", text, masked)
		}
	}
}

func TestAKeyTellsAboutItsValue(t *testing.T) {
	for _, row := range [][3]string{
		{`password`, `hunter2`, `[REDACTED]`},
		{`change.env.DB_PASSWORD`, `a -> b`, `[REDACTED]`},
		{`apiToken`, `abc`, `[REDACTED]`},
		{`token`, `abc123`, `[REDACTED]`},
		{`secret`, `db-creds`, `db-creds`},
		{`secret`, `default-token-x7k2p`, `default-token-x7k2p`},
		{`secret`, `hunter2`, `[REDACTED]`},
		{`secret`, `550e8400-e29b-41d4-a716-446655440000`, `[REDACTED]`},
		{`key`, `DB_PASSWORD`, `DB_PASSWORD`},
		{`exit_code`, `137`, `137`},
		{`note`, `password=abc`, `password=[REDACTED]`},
	} {
		if masked := Value(row[0], row[1]); masked != row[2] {
			t.Errorf("%s=%q became %q, not %q", row[0], row[1], masked, row[2])
		}
	}
}

func TestJSONKeepsEveryByteThatIsNoSecret(t *testing.T) {
	text := `{ "n": 9007199254740993.0, "big":123456789012345678901234567890,
        "password" : "hunter2", "list":["token=abc", "a\u00e4\"b"], "k":{"secret":"db-creds"} }`
	expected := strings.NewReplacer("hunter2", Mask, "token=abc", "token="+Mask).Replace(text)
	if masked := JSON(text); masked != expected {
		t.Errorf("became %s", masked)
	}
	if masked := JSON(`not json "password=abc`); masked != `not json "password=[REDACTED]` {
		t.Errorf("became %s", masked)
	}
}

func TestAValueIsJudgedByTheNameBesideItAsInAListOfVariables(t *testing.T) {
	masked := JSON(`[{"name":"DB_PASSWORD","value":"correct-horse"},{"name":"MODE","value":"fast"}]`)
	if masked != `[{"name":"DB_PASSWORD","value":"[REDACTED]"},{"name":"MODE","value":"fast"}]` {
		t.Errorf("became %s", masked)
	}
}

func FuzzMaskingTwiceIsMaskingOnce(f *testing.F) {
	for i, row := range secrets {
		f.Add(row[0] + secrets[(i+7)%len(secrets)][0])
		f.Add(`"` + row[0] + `\\`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := Text(text)
		if twice := Text(once); twice != once {
			t.Errorf("%q became %q, then %q", text, once, twice)
		}
		encoded, err := json.Marshal(map[string]any{text: []any{text, 7}})
		if err != nil {
			t.Skip(err)
		}
		if masked := JSON(string(encoded)); !json.Valid([]byte(masked)) {
			t.Errorf("%s became %s", encoded, masked)
		}
	})
}
