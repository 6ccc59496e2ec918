package main

import (
	"crypto/rand"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/x402"
)

const verifyRounds = 5

// verification is everything from the bytes of a header to a verified payment, against the one step of it that cannot
// be left out. Both take turns, and the best turn of each counts: whatever else the machine does only adds.
func verification() result {
	key, err := crypto.GenerateKey()
	if err != nil {
		panic(err) // no randomness
	}
	network, err := evm.NewRegistry(nil).Network("eip155:84532")
	if err != nil {
		panic(err) // our own table
	}
	want := x402.Requirement{
		Token: network.Token, Amount: money.One, PayTo: common.HexToAddress("0x209693Bc6afc0C5328bA36FaF03C514EF312287C"),
		MaxTimeout: 5 * time.Minute, Resource: x402.Resource{URL: "https://shop.example/link/4Fk2vX9mQ7tB1cY6zR3wNp"},
	}
	now := time.Now()
	a := x402.Authorization{
		From: crypto.PubkeyToAddress(key.PublicKey), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(now.Add(want.MaxTimeout).Unix()),
	}
	_, _ = rand.Read(a.Nonce[:])
	signature, err := x402.Sign(a, want.Token, key)
	if err != nil {
		panic(err) // a good key signs anything
	}
	verify, recover := math.Inf(1), math.Inf(1)
	for range verifyRounds {
		worst := 0.0
		for version := 1; version <= 2; version++ {
			h := http.Header{}
			h.Set(want.Payment(version, a, signature).Encode())
			worst = max(worst, perOp(func() error { return verifyOnce(h, want, now) }))
		}
		verify = min(verify, worst)
		digest, bare := a.Digest(want.Token), append([]byte{}, signature...)
		bare[64] -= 27
		recover = min(recover, perOp(func() error { _, err := crypto.Ecrecover(digest[:], bare); return err }))
	}
	return atMost("verification from header bytes", fmt.Sprintf("%.1f µs", verify/1e3), fmt.Sprintf("Ecrecover %.1f µs", recover/1e3), verify/recover, 1.6)
}

func verifyOnce(h http.Header, want x402.Requirement, now time.Time) error {
	p, err := x402.FromRequest(h)
	if err != nil {
		return err
	}
	return p.Verify(want, now)
}

// perOp is how many nanoseconds one call takes.
func perOp(op func() error) float64 {
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if err := op(); err != nil {
				b.Fatal(err)
			}
		}
	})
	return float64(r.T.Nanoseconds()) / float64(r.N)
}
