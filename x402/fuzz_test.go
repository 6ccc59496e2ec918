package x402_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

func FuzzDecodeV1(f *testing.F) { fuzzDecode(f, 1) }

func FuzzDecodeV2(f *testing.F) { fuzzDecode(f, 2) }

// fuzzDecode shows that no header makes the decoder panic and that what it reads, it writes and reads again.
// The input is tried as a header and as what is inside one, which a fuzzer can change to better effect.
func fuzzDecode(f *testing.F, version int) {
	for _, text := range []string{
		real(version), real(3 - version), "", "{}", `{"x402Version":1}`, `{"x402Version":2,"accepted":null,"payload":[]}`,
		swap(real(version), `"value":"10000"`, `"value":"`+max256+`"`),
		swap(real(version), `"value":"10000"`, `"value":"10000","v\u0061lue":"1"`),
	} {
		f.Add(text)
		f.Add(base64Of(text))
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(text)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, header := range []string{text, base64Of(text)} {
			p, err := x402.Decode(version, header)
			if err != nil {
				var invalid *x402.Invalid
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, x402.Payment{Version: version}, p)
				continue
			}
			_ = p.Verify(weather, now)
			_, value := p.Encode()
			back, err := x402.Decode(version, value)
			require.NoError(t, err)
			require.Equal(t, p, back)
		}
	})
}
