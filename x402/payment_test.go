package x402_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"xsynesis/money"
	"xsynesis/x402"
)

func TestRealPaymentsAreRead(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		p, err := x402.Decode(version, base64Of(real(version)))
		require.NoError(t, err)
		require.Equal(t, paid(version), p)
		require.NoError(t, p.Verify(weather, now))
	}
}

func TestPaymentsAreWrittenAsClientsWriteThem(t *testing.T) {
	t.Parallel()
	name, value := paid(1).Encode()
	require.Equal(t, "X-PAYMENT", name)
	require.Equal(t, base64Of(realV1), value)

	name, value = paid(2).Encode()
	require.Equal(t, "PAYMENT-SIGNATURE", name)
	require.Equal(t, base64Of(strings.Replace(realV2, `,"description":"Weather","mimeType":"application/json"`, "", 1)), value)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offer := weather
		offer.Token.Network = rapid.StringN(1, 20, -1).Draw(t, "network")
		offer.Token.NetworkV1 = rapid.StringN(1, 20, -1).Draw(t, "name")
		offer.Resource.URL = rapid.String().Draw(t, "url")
		offer.Amount = money.USDC(rapid.Int64Min(0).Draw(t, "amount"))
		p := offer.Payment(rapid.IntRange(1, 2).Draw(t, "version"), drawAuthorization(t), rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "signature"))
		_, value := p.Encode()
		back, err := x402.Decode(p.Version, value)
		require.NoError(t, err)
		requireSamePayment(t, p, back)
	})
}

// requireSamePayment compares what is written: big.Int has two forms of zero.
func requireSamePayment(t require.TestingT, want, got x402.Payment) {
	require.Equal(t, string(want.JSON()), string(got.JSON()))
	require.Equal(t, want.Version, got.Version)
}

func TestClientsDifferInBase64(t *testing.T) {
	t.Parallel()
	// The name makes the encodings differ: it has bytes that are '-', '_', '+' and '/' in base64.
	text := strings.Replace(realV2, `"Weather"`, `"~~~???>>>ÿÿÿ ü?>~"`, 1)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		for pad := range 3 {
			p, err := x402.Decode(2, encoding.EncodeToString([]byte(text+strings.Repeat(" ", pad))))
			require.NoError(t, err)
			require.Equal(t, paid(2), p)
		}
	}
}

func TestClientsDifferInWhatTheyLeaveOut(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no resource":             cut(realV2, `"resource":{"url":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json"},`),
		"resource null":           swap(realV2, `{"url":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json"}`, "null"),
		"extensions null":         swap(realV2, `"x402Version":2`, `"x402Version":2,"extensions":null`),
		"extensions":              swap(realV2, `"x402Version":2`, `"x402Version":2,"extensions":{"bazaar":{"info":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00"]}}`),
		"an extra of its own":     swap(realV2, `"name":"USDC"`, `"assetTransferMethod":"eip3009","name":"USDC"`),
		"no maxTimeoutSeconds":    cut(realV2, `"maxTimeoutSeconds":60,`),
		"addresses in lower case": strings.ReplaceAll(realV2, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "0x036cbd53842c5426634e7929541ec2318f3dcf7e"),
		"leading zeros":           strings.ReplaceAll(realV2, `"10000"`, `"0010000"`),
		"white space":             " \r\n\t" + strings.ReplaceAll(realV2, ",", " ,\n") + " ",
		"Latin-1 in a text":       swap(realV2, "Weather", "Caf\xe9"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := x402.Decode(2, base64Of(text))
			require.NoError(t, err)
			require.NoError(t, p.Verify(weather, now))
		})
	}
}

func cut(text, old string) string { return swap(text, old, "") }

// swap replaces what must be there once, so that no test changes nothing.
func swap(text, old, with string) string {
	if strings.Count(text, old) != 1 {
		panic(fmt.Sprintf("%q stands %d times", old, strings.Count(text, old)))
	}
	return strings.Replace(text, old, with, 1)
}

const max256 = "115792089237316195423570985008687907853269984665640564039457584007913129639935"

func TestEveryUint256IsRead(t *testing.T) {
	t.Parallel()
	for _, digits := range []string{"0", "9999999999999999999", "18446744073709551615", "18446744073709551616", "99999999999999999999", max256} {
		p, err := x402.Decode(1, base64Of(edit(realV1, "value", `"`+digits+`"`)))
		require.NoError(t, err)
		require.Equal(t, digits, p.Authorization.Value.String())
	}
}

var quoted = regexp.MustCompile(`"x402Version":(\d)`)

func TestRefusedWhileReading(t *testing.T) {
	t.Parallel()
	type change struct {
		name string
		kind x402.Kind
		edit func(text string) string
	}
	changes := []change{
		{"unknown scheme", x402.Scheme, func(s string) string { return swap(s, `"exact"`, `"upto"`) }},
		{"scheme in capitals", x402.Scheme, func(s string) string { return swap(s, `"exact"`, `"Exact"`) }},
		{"no scheme", x402.Malformed, func(s string) string { return cut(s, `"scheme":"exact",`) }},
		{"not JSON", x402.Malformed, func(string) string { return "hello" }},
		{"nothing", x402.Malformed, func(string) string { return " " }},
		{"an array", x402.Malformed, func(s string) string { return "[" + s + "]" }},
		{"null", x402.Malformed, func(string) string { return "null" }},
		{"trailing data", x402.Malformed, func(s string) string { return s + "{}" }},
		{"trailing bracket", x402.Malformed, func(s string) string { return s + "}" }},
		{"cut off", x402.Malformed, func(s string) string { return s[:len(s)-1] }},
		{"version as text", x402.Malformed, func(s string) string { return quoted.ReplaceAllString(s, `"x402Version":"$1"`) }},
		{"version missing", x402.Malformed, func(s string) string { return swap(s, `"x402Version"`, `"x402version"`) }},
		{"null value", x402.Malformed, func(s string) string { return edit(s, "value", `null`) }},
		{"null authorization", x402.Malformed, func(s string) string { return swap(s, `"authorization":{`, `"authorization":null,"was":{`) }},
		{"no payload", x402.Malformed, func(s string) string { return swap(s, `"payload"`, `"Payload"`) }},
		{"duplicate at the top", x402.Malformed, func(s string) string { return swap(s, `{"x402Version"`, `{"payload":{},"x402Version"`) }},
		{"duplicate inside", x402.Malformed, func(s string) string { return swap(s, `"value":"10000"`, `"value":"10000","value":"10000"`) }},
		{"duplicate in disguise", x402.Malformed, func(s string) string { return swap(s, `"value":"10000"`, `"value":"10000","v\u0061lue":"1"`) }},
		{"duplicate in what nobody reads", x402.Malformed, func(s string) string { return swap(s, `{"x402Version"`, `{"x":[{"a":{"b":1,"b":2}}],"x402Version"`) }},
		{"too deep", x402.Malformed, func(s string) string {
			return swap(s, `{"x402Version"`, `{"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"x402Version"`)
		}},
		{"too many members", x402.Malformed, func(s string) string {
			var b strings.Builder
			for i := range 200 {
				fmt.Fprintf(&b, `"x%d":0,`, i)
			}
			return "{" + b.String() + s[1:]
		}},
		{"short address", x402.Malformed, func(s string) string { return swap(s, `"0xf39Fd6`, `"0xf39F`) }},
		{"address without 0x", x402.Malformed, func(s string) string { return swap(s, `"0xf39Fd6`, `"f39Fd6`) }},
		{"address not hex", x402.Malformed, func(s string) string { return swap(s, `"0xf39Fd6`, `"0xg39Fd6`) }},
		{"short nonce", x402.Malformed, func(s string) string { return swap(s, `"0xf37466`, `"0xf374`) }},
		{"signature not hex", x402.Malformed, func(s string) string { return swap(s, `"0x2a90`, `"0x2a9z`) }},
		{"signature of half bytes", x402.Malformed, func(s string) string { return swap(s, `"0x2a90`, `"0x2a9`) }},
		{"empty signature", x402.Malformed, func(s string) string { return swap(s, knownSignature, "0x") }},
	}
	for _, bad := range []string{
		`"-1"`, `"+1"`, `"1e4"`, `"1E4"`, `"0x10"`, `"1.0"`, `"1_000"`, `" 1"`, `"1 "`, `"1\n"`, `""`, `"١"`, `"１"`, `"NaN"`,
		`10000`, `1e4`, `true`, `["1"]`, `{"hex":"0x1"}`,
		`"` + max256[:77] + `6"`, `"` + strings.Repeat("9", 78) + `"`, `"` + strings.Repeat("0", 79) + `"`, `"` + strings.Repeat("1", 200) + `"`,
	} {
		for _, field := range []string{"value", "validAfter", "validBefore"} {
			changes = append(changes, change{field + " " + bad, x402.Malformed, func(s string) string { return edit(s, field, bad) }})
		}
	}
	for version := 1; version <= 2; version++ {
		for _, change := range changes {
			t.Run(fmt.Sprintf("v%d %s", version, change.name), func(t *testing.T) {
				t.Parallel()
				p, err := x402.Decode(version, base64Of(change.edit(real(version))))
				requireInvalid(t, change.kind, err)
				require.Equal(t, x402.Payment{Version: version}, p)
			})
		}
	}
}

// edit gives a number of the authorization another JSON value.
func edit(text, field, value string) string {
	old := map[string]string{"value": `"10000"`, "validAfter": `"1740672089"`, "validBefore": `"1740672154"`}[field]
	return swap(text, `"`+field+`":`+old, `"`+field+`":`+value)
}

func TestRefusedInWhatVersion2Accepts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing accepted":       swap(realV2, `"accepted"`, `"accepts"`),
		"amount as number":       swap(realV2, `"amount":"10000"`, `"amount":10000`),
		"amount of 1e4":          swap(realV2, `"amount":"10000"`, `"amount":"1e4"`),
		"amount missing":         cut(realV2, `"amount":"10000",`),
		"network null":           swap(realV2, `"eip155:84532"`, `null`),
		"asset missing":          cut(realV2, `"asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e",`),
		"payTo null":             swap(realV2, `"payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"`, `"payTo":null`),
		"seconds with fractions": swap(realV2, `"maxTimeoutSeconds":60`, `"maxTimeoutSeconds":60.5`),
		"seconds as text":        swap(realV2, `"maxTimeoutSeconds":60`, `"maxTimeoutSeconds":"60"`),
		"negative seconds":       swap(realV2, `"maxTimeoutSeconds":60`, `"maxTimeoutSeconds":-60`),
		"extra as text":          swap(realV2, `{"name":"USDC","version":"2"}`, `"USDC"`),
		"name as number":         swap(realV2, `"name":"USDC"`, `"name":1`),
		"resource as text":       swap(realV2, `{"url":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json"}`, `"http://a"`),
		"resource url as number": swap(realV2, `"url":"http://127.0.0.1:4051/weather"`, `"url":1`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := x402.Decode(2, base64Of(text))
			requireInvalid(t, x402.Malformed, err)
		})
	}
}

func TestTheHeaderMustAgreeWithTheVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version int
		text    string
	}{
		{version: 2, text: realV1},
		{version: 1, text: realV2},
		{version: 2, text: swap(realV2, `"x402Version":2`, `"x402Version":1`)},
		{version: 1, text: swap(realV1, `"x402Version":1`, `"x402Version":2`)},
		{version: 1, text: swap(realV1, `"x402Version":1`, `"x402Version":1.0`)},
		{version: 3, text: swap(realV2, `"x402Version":2`, `"x402Version":3`)},
	} {
		_, err := x402.Decode(tt.version, base64Of(tt.text))
		requireInvalid(t, x402.Version, err)
	}
}

func TestSizeIsLimited(t *testing.T) {
	t.Parallel()
	room := strings.Repeat(" ", 16<<10/4*3-len(realV1))
	p, err := x402.Decode(1, base64Of(realV1+room))
	require.NoError(t, err)
	require.Equal(t, paid(1), p)
	_, err = x402.Decode(1, base64Of(realV1+room+" "))
	requireInvalid(t, x402.TooLarge, err)
}

func TestNotBase64(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "=", "a", "!!!!", realV1, base64Of(realV1) + "===", base64Of(realV1) + "," + base64Of(realV1), "+_+_"} {
		_, err := x402.Decode(1, bad)
		requireInvalid(t, x402.Malformed, err)
	}
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	v1, v2 := base64Of(realV1), base64Of(realV2)

	t.Run("no header is no payment", func(t *testing.T) {
		t.Parallel()
		_, err := x402.FromRequest(header("Accept", "*/*", "X-PAYMENT", ""))
		require.ErrorIs(t, err, x402.ErrNoPayment)
	})
	t.Run("each version has its header", func(t *testing.T) {
		t.Parallel()
		p, err := x402.FromRequest(header("x-payment", v1))
		require.NoError(t, err)
		require.Equal(t, paid(1), p)
		p, err = x402.FromRequest(header("payment-signature", v2))
		require.NoError(t, err)
		require.Equal(t, paid(2), p)
	})
	t.Run("version 2 goes first", func(t *testing.T) {
		t.Parallel()
		p, err := x402.FromRequest(header("X-PAYMENT", v1, "PAYMENT-SIGNATURE", v2))
		require.NoError(t, err)
		require.Equal(t, 2, p.Version)
	})
	t.Run("a header that stands twice is refused", func(t *testing.T) {
		t.Parallel()
		for version, h := range map[int]http.Header{1: header("X-PAYMENT", v1, "X-PAYMENT", v1), 2: header("PAYMENT-SIGNATURE", v2, "PAYMENT-SIGNATURE", "")} {
			p, err := x402.FromRequest(h)
			requireInvalid(t, x402.Malformed, err)
			require.Equal(t, version, p.Version)
		}
	})
	t.Run("a payment in the other version's header is refused", func(t *testing.T) {
		t.Parallel()
		p, err := x402.FromRequest(header("PAYMENT-SIGNATURE", v1))
		requireInvalid(t, x402.Version, err)
		require.Equal(t, 2, p.Version)
		p, err = x402.FromRequest(header("X-PAYMENT", v2))
		requireInvalid(t, x402.Version, err)
		require.Equal(t, 1, p.Version)
	})
}

func TestDecodePayload(t *testing.T) {
	t.Parallel()
	inner := realV1[strings.Index(realV1, `{"signature"`) : len(realV1)-1]
	a, signature, err := x402.DecodePayload([]byte(inner))
	require.NoError(t, err)
	require.Equal(t, known, a)
	require.Equal(t, knownSignature, hexutil.Encode(signature))
	require.NoError(t, weather.Payment(2, a, signature).Verify(weather, now))

	for _, bad := range []string{"", "[]", `"x"`, realV1, swap(inner, `"10000"`, `10000`), swap(inner, `{"signature"`, `{"signature":"0x00","signature"`)} {
		_, _, err := x402.DecodePayload([]byte(bad))
		requireInvalid(t, x402.Malformed, err)
	}
	_, _, err = x402.DecodePayload([]byte(inner + strings.Repeat(" ", 16<<10)))
	requireInvalid(t, x402.TooLarge, err)
}

func TestLogsHaveNoSignature(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("paid", "payment", paid(2))
	require.Contains(t, log.String(), known.From.Hex())
	require.NotContains(t, log.String(), knownSignature[2:20])
}
