package x402_test

import (
	"net/http"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/x402"
)

// BenchmarkVerify is everything from the bytes of a header to a verified payment. The bound is 1.6 times
// BenchmarkEcrecover, the one step that cannot be left out.
func BenchmarkVerify(b *testing.B) {
	for version, name := range map[int]string{1: "v1", 2: "v2"} {
		b.Run(name, func(b *testing.B) {
			header, value := paid(version).Encode()
			if version == 2 {
				value = base64Of(realV2) // has more to read than what we write
			}
			h := http.Header{}
			h.Set(header, value)
			b.ReportAllocs()
			for b.Loop() {
				p, err := x402.FromRequest(h)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Verify(weather, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEcrecover(b *testing.B) {
	digest, signature := hexutil.MustDecode(knownDigest), hexutil.MustDecode(knownSignature)
	signature[64] -= 27
	b.ReportAllocs()
	for b.Loop() {
		if _, err := crypto.Ecrecover(digest, signature); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		known.Digest(sepolia)
	}
}
