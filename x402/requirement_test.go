package x402_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

func TestBodyIsWhatVersion1ServersSend(t *testing.T) {
	t.Parallel()
	//nolint:testifylint // the bytes themselves, not what they mean
	require.Equal(t,
		`{"x402Version":1,"error":"X-PAYMENT header is required","accepts":[{"scheme":"exact","network":"base-sepolia","maxAmountRequired":"10000","resource":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json","payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","maxTimeoutSeconds":60,"asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","extra":{"name":"USDC","version":"2"}}]}`,
		string(x402.Body("X-PAYMENT header is required", weather)))
}

func TestHeaderIsWhatVersion2ServersSend(t *testing.T) {
	t.Parallel()
	slow := weather
	slow.MaxTimeout = 5 * time.Minute
	require.Equal(t,
		base64Of(`{"x402Version":2,"error":"Payment required","resource":{"url":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json"},"accepts":[{"scheme":"exact","network":"eip155:84532","amount":"10000","asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","maxTimeoutSeconds":300,"extra":{"name":"USDC","version":"2"}}]}`),
		x402.Header("Payment required", slow))
}

func TestOffersHaveNoNullAndNoGaps(t *testing.T) {
	t.Parallel()
	bare := weather
	bare.Resource = x402.Resource{URL: "https://shop.example/x?a=1&b=<2>"}
	bare.MaxTimeout = 0

	var v1 struct{ Accepts []map[string]any }
	require.NoError(t, json.Unmarshal(x402.Body("", bare), &v1))
	require.Len(t, v1.Accepts[0], 10)
	require.NotContains(t, v1.Accepts[0], "outputSchema")
	require.Empty(t, v1.Accepts[0]["description"])
	require.Contains(t, v1.Accepts[0], "description")
	require.Empty(t, v1.Accepts[0]["mimeType"])
	require.Contains(t, v1.Accepts[0], "mimeType")
	require.Equal(t, bare.Resource.URL, v1.Accepts[0]["resource"])
	require.EqualValues(t, 1, v1.Accepts[0]["maxTimeoutSeconds"])

	text, err := base64.StdEncoding.Strict().DecodeString(x402.Header("", bare))
	require.NoError(t, err)
	require.NotContains(t, string(text), "null")
	var v2 x402.RequiredV2
	require.NoError(t, json.Unmarshal(text, &v2))
	require.Equal(t, bare.V2(), v2)
	require.Equal(t, bare.Resource.URL, v2.Resource.URL)
}

func TestNetworksUnknownToVersion1AreOnlyInTheHeader(t *testing.T) {
	t.Parallel()
	arbitrum := weather
	arbitrum.Token.Network, arbitrum.Token.NetworkV1, arbitrum.Token.ChainID = "eip155:42161", "", 42161

	var v1 x402.RequiredV1
	require.NoError(t, json.Unmarshal(x402.Body("pay", arbitrum, weather), &v1))
	require.Equal(t, []x402.RequirementV1{weather.V1()}, v1.Accepts)
	require.JSONEq(t, `{"x402Version":1,"error":"pay","accepts":[]}`, string(x402.Body("pay", arbitrum)))

	text, err := base64.StdEncoding.DecodeString(x402.Header("pay", arbitrum, weather))
	require.NoError(t, err)
	var v2 x402.RequiredV2
	require.NoError(t, json.Unmarshal(text, &v2))
	require.Len(t, v2.Accepts, 2)
	require.Equal(t, "eip155:42161", v2.Accepts[0].Network)
}
