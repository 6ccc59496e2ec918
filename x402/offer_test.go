package x402_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// What servers in use send.
const (
	offerV1 = `{"x402Version":1,"error":"X-PAYMENT header is required","accepts":[{"scheme":"exact","network":"base-sepolia","maxAmountRequired":"10000","resource":"http://127.0.0.1:4051/weather","description":"Weather","mimeType":"application/json","payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","maxTimeoutSeconds":60,"asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","outputSchema":{"input":{"type":"http","method":"GET","discoverable":true}},"extra":{"name":"USDC","version":"2"}}]}`
	offerV2 = `{"x402Version":2,"error":"Payment required","resource":{"url":"http://127.0.0.1:4050/weather","description":"Weather","mimeType":"application/json"},"accepts":[{"scheme":"exact","network":"eip155:84532","amount":"10000","asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65","maxTimeoutSeconds":300,"extra":{"name":"USDC","version":"2","more":{"a":[1,2]}}}],"extensions":{"payment-identifier":{"info":{"required":true},"schema":{"type":"object"}},"other":{"info":{"x":1.50}}}}`
)

func required(text string) http.Header {
	h := http.Header{}
	h.Set(x402.HeaderRequired, base64Of(text))
	return h
}

func TestOffersOfServersInUseAreReadAndMet(t *testing.T) {
	t.Parallel()
	for version, read := range map[int]func() (x402.Offer, error){
		1: func() (x402.Offer, error) { return x402.ReadOffer(nil, []byte(offerV1), x402.Base, sepolia) },
		2: func() (x402.Offer, error) { return x402.ReadOffer(required(offerV2), []byte(`{}`), x402.Base, sepolia) },
	} {
		o, err := read()
		require.NoError(t, err)
		require.Equal(t, version, o.Version)
		require.Len(t, o.Choices, 1)
		c := o.Choices[0]
		require.Equal(t, sepolia, c.Token)
		require.EqualValues(t, 10_000, c.Amount)
		require.Equal(t, weather.PayTo, c.PayTo)
		require.Equal(t, map[int]time.Duration{1: time.Minute, 2: 5 * time.Minute}[version], c.MaxTimeout)

		name, value := o.Payment(c, known, hexutil.MustDecode(knownSignature), "pay_0123456789abcdef")
		header := http.Header{}
		header.Set(name, value)
		p, err := x402.FromRequest(header)
		require.NoError(t, err)
		require.Equal(t, version, p.Version)
		want := weather
		want.MaxTimeout = c.MaxTimeout
		require.NoError(t, p.Verify(want, now))
	}
}

func TestWhatAServerSaidIsSentBackAsItWas(t *testing.T) {
	t.Parallel()
	o, err := x402.ReadOffer(required(offerV2), nil, sepolia)
	require.NoError(t, err)
	_, value := o.Payment(o.Choices[0], known, hexutil.MustDecode(knownSignature), "pay_0123456789abcdef")
	text, err := base64.StdEncoding.DecodeString(value)
	require.NoError(t, err)
	var sent struct {
		Accepted, Resource json.RawMessage
		Extensions         map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &sent))
	require.Contains(t, offerV2, string(sent.Accepted))
	require.Contains(t, offerV2, string(sent.Resource))
	require.JSONEq(t, `{"info":{"required":true,"id":"pay_0123456789abcdef"},"schema":{"type":"object"}}`, string(sent.Extensions["payment-identifier"]))
	require.Equal(t, `{"info":{"x":1.50}}`, string(sent.Extensions["other"])) //nolint:testifylint // to the byte
}

func TestWhatCannotBePaidIsNoChoice(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"another scheme":         {`"scheme":"exact"`, `"scheme":"upto"`},
		"another network":        {`"eip155:84532"`, `"eip155:1"`},
		"another token":          {`0x036C`, `0x036D`},
		"another way":            {`"name":"USDC"`, `"assetTransferMethod":"permit2","name":"USDC"`},
		"another flow":           {`"name":"USDC"`, `"paymentFlow":"escrow","name":"USDC"`},
		"a price with a sign":    {`"10000"`, `"-10000"`},
		"a price in e":           {`"10000"`, `"1e4"`},
		"a price in hex":         {`"10000"`, `"0x10"`},
		"a price as a number":    {`"10000"`, `10000`},
		"more than there is":     {`"10000"`, `"99999999999999999999"`},
		"no payee":               {`"payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",`, ``},
		"half a payee":           {`"payTo":"0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"`, `"payTo":"0x15d3"`},
		"no time":                {`"maxTimeoutSeconds":300`, `"maxTimeoutSeconds":0`},
		"a time before it began": {`"maxTimeoutSeconds":300`, `"maxTimeoutSeconds":-1`},
		"an extra of no kind":    {`"extra":{"name":"USDC","version":"2","more":{"a":[1,2]}}`, `"extra":"USDC"`},
	} {
		changed := strings.Replace(offerV2, change[0], change[1], 1)
		require.NotEqual(t, offerV2, changed, name)
		o, err := x402.ReadOffer(required(changed), nil, x402.Base, sepolia)
		require.NoError(t, err, name)
		require.Empty(t, o.Choices, name)
	}
	other := strings.Replace(offerV2, `"accepts":[`, `"accepts":[{"scheme":"upto"},null,7,`, 1)
	o, err := x402.ReadOffer(required(other), nil, sepolia)
	require.NoError(t, err)
	require.Len(t, o.Choices, 1, "what is strange beside it does no harm")
}

func TestWhatIsNoOfferIsSaidToBeNone(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]http.Header{
		"nothing":           {},
		"not base64":        {http.CanonicalHeaderKey(x402.HeaderRequired): {"{}"}},
		"not JSON":          required("hello"),
		"an array":          required("[]"),
		"the other version": required(offerV1),
		"no accepts":        required(`{"x402Version":2}`),
		"far too long":      required(strings.Repeat(" ", 1<<20) + offerV2),
	} {
		_, err := x402.ReadOffer(header, []byte("<p>Pay us</p>"), sepolia)
		require.ErrorIs(t, err, x402.ErrNoOffer, name)
	}
}

func TestReceiptsOfBothVersionsAreRead(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		h := http.Header{}
		h.Set(x402.Receipt{Success: true, Transaction: "0x01", Token: sepolia, Payer: known.From}.Header(version))
		r, ok := x402.ReadReceipt(h)
		require.True(t, ok)
		require.True(t, r.Success)
		require.Equal(t, sepolia.NetworkName(version), r.Network)
	}
	_, ok := x402.ReadReceipt(http.Header{http.CanonicalHeaderKey(x402.HeaderResponse): {"%%"}})
	require.False(t, ok)
}

func FuzzReadOffer(f *testing.F) {
	f.Add([]byte(offerV1))
	f.Add([]byte(offerV2))
	f.Add([]byte(`{"x402Version":1,"accepts":[{"scheme":"exact","extra":null,"maxTimeoutSeconds":"60"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, h := range []http.Header{nil, required(string(text))} {
			o, err := x402.ReadOffer(h, text, x402.Base, sepolia)
			if err != nil {
				require.ErrorIs(t, err, x402.ErrNoOffer)
				continue
			}
			for _, c := range o.Choices {
				require.GreaterOrEqual(t, int64(c.Amount), int64(0))
				require.Positive(t, c.MaxTimeout)
				o.Payment(c, known, []byte{1}, "pay_0123456789abcdef")
			}
		}
	})
}
