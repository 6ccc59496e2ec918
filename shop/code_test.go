package shop_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

func (c counter) codes(t *testing.T, f shop.CodeForm) []shop.Code {
	t.Helper()
	batch, err := c.GenerateCodes(t.Context(), c.merchant, false, f, ada)
	require.NoError(t, err)
	all, err := c.Codes(t.Context(), c.merchant, false, shop.CodeFilter{Batch: batch.ID}, shop.Page{Limit: shop.MaxCodes})
	require.NoError(t, err)
	require.Len(t, all, batch.Codes)
	return all
}

var half = shop.Terms{Off: shop.OffPercent, Percent: 50}

func TestAThousandCodesAreMadeAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	all := c.codes(t, shop.CodeForm{Count: shop.MaxCodes, Prefix: "spring-26", Terms: half})
	seen := map[string]bool{}
	for _, code := range all {
		require.Regexp(t, `^SPRING-26(-[0-9A-HJKMNP-TV-Z]{4}){3}$`, code.Code)
		require.False(t, seen[code.Code])
		seen[code.Code] = true
		require.Equal(t, shop.CodeActive, code.Status(time.Now()))
	}
	_, err := c.GenerateCodes(t.Context(), c.merchant, false, shop.CodeForm{Count: shop.MaxCodes + 1, Terms: half}, ada)
	wrongField(t, "count", err)
}

func TestASellersOwnWordsAreCodes(t *testing.T) {
	t.Parallel()
	c := open(t)
	all := c.codes(t, shop.CodeForm{Own: []string{" tea-time ", "", "COFFEE 10"}, Terms: half})
	require.Len(t, all, 2)
	for _, written := range []string{"TEATIME", "tea time", "coffee-1o", "C0FFEE IO"} {
		h, err := c.HandIn(t.Context(), c.merchant, false, written)
		require.NoError(t, err, written)
		require.Contains(t, []string{"TEA-TIME", "COFFEE 10"}, h.Code.Code)
	}
	for name, own := range map[string][]string{
		"too short": {"ABC"}, "signs": {"TEA+TIME"}, "umlauts": {"KAFFEEÄ"}, "nothing": {" "}, "twice": {"OIL-1", "0IL I"},
		"there already": {"NEW-ONE", "TEATIME"}, "too long": {strings.Repeat("A", 65)},
	} {
		_, err := c.GenerateCodes(t.Context(), c.merchant, false, shop.CodeForm{Own: own, Terms: half}, ada)
		wrongField(t, "codes", err)
		batches, err := c.CodeBatches(t.Context(), c.merchant, false, shop.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, batches, 1, "%s: all of them, or none", name)
	}
}

func TestAWrongFormOfCodesSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := open(t)
	now := time.Now()
	before, after := now.Add(-time.Hour), now.Add(time.Hour)
	for field, forms := range map[string][]shop.CodeForm{
		"free":        {{}, {Terms: shop.Terms{Off: shop.OffAll, Percent: 5}}, {Terms: shop.Terms{Off: "half"}}, {Terms: shop.Terms{Off: shop.OffPercent, Percent: 5, Amount: 1}}},
		"percent_off": {{Terms: shop.Terms{Off: shop.OffPercent}}, {Terms: shop.Terms{Off: shop.OffPercent, Percent: 100}}, {Terms: shop.Terms{Off: shop.OffPercent, Percent: -1}}},
		"amount_off":  {{Terms: shop.Terms{Off: shop.OffAmount}}, {Terms: shop.Terms{Off: shop.OffAmount, Amount: -1}}, {Terms: shop.Terms{Off: shop.OffAmount, Amount: shop.MaxAmount + 1}}},
		"count":       {{Count: -1, Terms: half}, {Count: 1001, Terms: half}},
		"prefix":      {{Prefix: "TOO-LONG-A-PREFIX-FOR-THIS", Terms: half}, {Prefix: "Ä", Terms: half}},
		"name":        {{Name: "a\nb", Terms: half}},
		"uses":        {{Terms: shop.Terms{Off: shop.OffAll, Uses: -1}}, {Terms: shop.Terms{Off: shop.OffAll, Uses: shop.MaxUses + 1}}},
		"per_wallet":  {{Terms: shop.Terms{Off: shop.OffAll, PerWallet: 2}}, {Terms: shop.Terms{Off: shop.OffAll, PerWallet: -1}}},
		"valid_until": {{Terms: shop.Terms{Off: shop.OffAll, Until: &before}}, {Terms: shop.Terms{Off: shop.OffAll, From: &after, Until: &after}}},
		"address":     {{Terms: shop.Terms{Off: shop.OffAll, Address: "0x12"}}, {Terms: shop.Terms{Off: shop.OffAll, Address: strings.Repeat("a", 40)}}},
		"item_id":     {{Terms: shop.Terms{Off: shop.OffAll, Item: id.New[id.Item](now), Link: id.New[id.Link](now)}}},
	} {
		for i, f := range forms {
			_, err := c.GenerateCodes(t.Context(), c.merchant, false, f, ada)
			require.Error(t, err, "%s %d", field, i)
			wrongField(t, field, err)
		}
	}
	for _, terms := range []shop.Terms{
		{Off: shop.OffAll, Item: id.New[id.Item](now)}, {Off: shop.OffAll, Link: id.New[id.Link](now)}, {Off: shop.OffAll, Endpoint: id.New[id.Endpoint](now)},
	} {
		_, err := c.GenerateCodes(t.Context(), c.merchant, false, shop.CodeForm{Terms: terms}, ada)
		require.ErrorIs(t, err, shop.ErrNotFound)
	}
}

func TestACodeHasItsTimeAndItsEnd(t *testing.T) {
	t.Parallel()
	c := open(t)
	soon := time.Now().Add(time.Hour)
	early := c.codes(t, shop.CodeForm{Terms: shop.Terms{Off: shop.OffAll, From: &soon}})[0]
	_, err := c.RedeemCode(t.Context(), shop.Redeeming{Code: early.Code})
	require.ErrorIs(t, err, shop.ErrCodeEarly)
	require.Equal(t, shop.CodeScheduled, early.Status(time.Now()))
	require.Equal(t, shop.CodeExpired, shop.Code{Terms: shop.Terms{Uses: 1, Until: &soon}}.Status(soon))

	code := c.codes(t, shop.CodeForm{Terms: half})[0]
	ended, err := c.RevokeCode(t.Context(), c.merchant, false, code.ID, ada)
	require.NoError(t, err)
	require.Equal(t, shop.CodeRevoked, ended.Status(time.Now()))
	_, err = c.RedeemCode(t.Context(), shop.Redeeming{Code: code.Code})
	require.ErrorIs(t, err, shop.ErrCodeOver)

	many := c.codes(t, shop.CodeForm{Count: 3, Terms: half})
	batch, err := c.RevokeCodes(t.Context(), c.merchant, false, many[0].Batch, ada)
	require.NoError(t, err)
	require.Equal(t, 3, batch.Revoked)
	require.Equal(t, shop.CodeRevoked, batch.Status(time.Now()))
	_, err = c.RevokeCode(t.Context(), id.New[id.Merchant](time.Now()), false, code.ID, ada)
	require.ErrorIs(t, err, shop.ErrNotFound)
	_, err = c.RevokeCode(t.Context(), c.merchant, true, code.ID, ada)
	require.ErrorIs(t, err, shop.ErrNotFound, "of the other mode")
}

func TestACodeIsRedeemedForWhatItIsFor(t *testing.T) {
	t.Parallel()
	c := open(t)
	coffee, tea := c.item(t, beansWith(func(f *shop.ItemForm) { f.Title = "Coffee" })), c.item(t, beansWith(func(f *shop.ItemForm) { f.Title = "Tea" }))
	link := func(items ...shop.Item) shop.Link {
		f := shop.LinkForm{}
		for _, i := range items {
			f.Items = append(f.Items, shop.Want{Item: i.ID, Qty: 1})
		}
		l, err := c.CreateLink(t.Context(), c.merchant, false, f, ada)
		require.NoError(t, err)
		return l
	}
	both, teaOnly := link(coffee, tea), link(tea)
	ofItem := c.codes(t, shop.CodeForm{Terms: shop.Terms{Off: shop.OffPercent, Percent: 50, Item: coffee.ID, Uses: 5}})[0]
	ofLink := c.codes(t, shop.CodeForm{Terms: shop.Terms{Off: shop.OffAll, Link: both.ID, Uses: 5}})[0]

	for _, code := range []shop.Code{ofItem, ofLink} {
		_, err := c.RedeemCode(t.Context(), shop.Redeeming{Code: code.Code, Token: both.Token})
		require.NoError(t, err)
		_, err = c.RedeemCode(t.Context(), shop.Redeeming{Code: code.Code, Token: teaOnly.Token})
		require.ErrorIs(t, err, shop.ErrCodeElsewhere)
	}
	_, err := c.RedeemCode(t.Context(), shop.Redeeming{Code: ofItem.Code, Token: id.NewToken()})
	require.ErrorIs(t, err, shop.ErrNotFound)
	_, err = c.RedeemCode(t.Context(), shop.Redeeming{Code: ofItem.Code, Endpoint: id.New[id.Endpoint](time.Now())})
	require.ErrorIs(t, err, shop.ErrNotFound)

	offer, err := c.Offer(t.Context(), both.Token)
	require.NoError(t, err)
	h, err := c.HandIn(t.Context(), c.merchant, false, ofItem.Code)
	require.NoError(t, err)
	offer, err = offer.Coded(h)
	require.NoError(t, err)
	require.Equal(t, 18*money.One, offer.Amount, "half of one of two, at 12 each")
	_, err = offer.Coded(h)
	wrongField(t, "code", err)
}

func TestAnUnknownCodeIsAnUnknownCode(t *testing.T) {
	t.Parallel()
	c := open(t)
	code := c.codes(t, shop.CodeForm{Terms: half})[0]
	for _, text := range []string{"", " ", "x", "NO-SUCH-CODE", strings.Repeat("A", 5000), "'; DROP TABLE codes", "bypass_", "bypass_" + id.NewToken(), "bypass_é", "\x00", code.Code + "0"} {
		_, err := c.HandIn(t.Context(), c.merchant, false, text)
		require.ErrorIs(t, err, shop.ErrCode, "%q", text)
	}
	_, err := c.HandIn(t.Context(), id.New[id.Merchant](time.Now()), false, code.Code)
	require.ErrorIs(t, err, shop.ErrCode, "of another shop")
	_, err = c.HandIn(t.Context(), c.merchant, true, code.Code)
	require.ErrorIs(t, err, shop.ErrCode, "of the other mode")
}

func TestADiscountIsNeverMoreThanThePrice(t *testing.T) {
	t.Parallel()
	for _, each := range []struct {
		terms shop.Terms
		price money.USDC
		off   money.USDC
	}{
		{shop.Terms{Off: shop.OffAll}, 7, 7},
		{shop.Terms{Off: shop.OffPercent, Percent: 33}, 100, 33},
		{shop.Terms{Off: shop.OffPercent, Percent: 99}, 1, 0},
		{shop.Terms{Off: shop.OffPercent, Percent: 99}, shop.MaxAmount, shop.MaxAmount / 100 * 99},
		{shop.Terms{Off: shop.OffAmount, Amount: 5}, 7, 5},
		{shop.Terms{Off: shop.OffAmount, Amount: 50}, 7, 7},
	} {
		require.Equal(t, each.off, each.terms.Discount(each.price), fmt.Sprint(each))
	}
}

func TestACallWithACodeIsOneUseOnceItIsAnswered(t *testing.T) {
	t.Parallel()
	c := open(t)
	endpoint := id.New[id.Endpoint](time.Now())
	code := c.codes(t, shop.CodeForm{Terms: shop.Terms{Off: shop.OffAll, Uses: 2}})[0]
	used := func() int {
		now, err := c.Code(t.Context(), c.merchant, false, code.ID)
		require.NoError(t, err)
		return now.Used
	}
	hold := func(text string, until time.Time) (shop.CodeHold, error) {
		h, err := c.HandIn(t.Context(), c.merchant, false, text)
		if err != nil {
			return shop.CodeHold{}, err
		}
		return c.HoldCode(t.Context(), h, endpoint, "", until)
	}
	later := time.Now().Add(time.Minute)
	failed, err := hold(code.Code, later)
	require.NoError(t, err)
	require.Equal(t, 1, used())
	require.NoError(t, c.ReturnCode(t.Context(), failed))
	require.NoError(t, c.ReturnCode(t.Context(), failed))
	require.Zero(t, used())

	answered, err := hold(code.Code, later)
	require.NoError(t, err)
	require.NoError(t, c.SpendCode(t.Context(), answered))
	require.NoError(t, c.ReturnCode(t.Context(), answered), "what is spent stays spent")
	require.Equal(t, 1, used())

	_, err = hold(code.Code, time.Now().Add(-time.Second)) // its process died
	require.NoError(t, err)
	_, err = hold(code.Code, later)
	require.ErrorIs(t, err, shop.ErrCodeUsed)
	require.NoError(t, c.SweepCodes(t.Context()))
	require.Equal(t, 1, used())

	b, err := c.RedeemCode(t.Context(), shop.Redeeming{Code: code.Code})
	require.NoError(t, err)
	first, err := hold(b.Token, later)
	require.NoError(t, err)
	_, err = hold(b.Token, later)
	require.ErrorIs(t, err, shop.ErrCodeUsed, "one call at a time")
	require.NoError(t, c.ReturnCode(t.Context(), first))
	again, err := hold(b.Token, later)
	require.NoError(t, err)
	require.NoError(t, c.SpendCode(t.Context(), again))
	_, err = hold(b.Token, later)
	require.ErrorIs(t, err, shop.ErrCodeUsed)
	require.Equal(t, 2, used())
}

func TestCodesAreListedAndOnRecord(t *testing.T) {
	t.Parallel()
	c := open(t)
	once := []byte("the same call")
	f := shop.CodeForm{Name: "Flyer", Count: 3, Terms: half, Once: once}
	a, err := c.GenerateCodes(t.Context(), c.merchant, false, f, ada)
	require.NoError(t, err)
	b, err := c.GenerateCodes(t.Context(), c.merchant, false, f, ada)
	require.NoError(t, err)
	require.Equal(t, a.ID, b.ID)
	require.Equal(t, 3, b.Codes)
	c.codes(t, shop.CodeForm{Terms: half})
	newest, err := c.CodeBatches(t.Context(), c.merchant, false, shop.Page{Limit: 1})
	require.NoError(t, err)
	require.Len(t, newest, 2)
	up, err := c.CodeBatches(t.Context(), c.merchant, false, shop.Page{After: string(a.ID), Limit: 5})
	require.NoError(t, err)
	require.Len(t, up, 1)
	codes, err := c.Codes(t.Context(), c.merchant, false, shop.CodeFilter{}, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, codes, 4)
	found, err := c.Codes(t.Context(), c.merchant, false, shop.CodeFilter{Code: strings.ToLower(codes[2].Code)}, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []shop.Code{codes[2]}, found)
	above, err := c.Codes(t.Context(), c.merchant, false, shop.CodeFilter{}, shop.Page{After: string(codes[3].ID), Limit: 10})
	require.NoError(t, err)
	require.Equal(t, codes[:3], above)
}
