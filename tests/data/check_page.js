// Looks at a page as it is laid out in a frame, and returns what is wrong with it, a line a fault.
function checkPage(page, view) {
    const faults = [];
    const MARGIN = 1.5; // pixels that rounding may cost
    const short = node => JSON.stringify(node.textContent.trim().slice(0, 40));

    function luminance(colour) {
        const weights = [0.2126, 0.7152, 0.0722];
        return colour.slice(0, 3).reduce((sum, channel, i) => {
            const c = channel / 255;
            return sum + weights[i] * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        }, 0);
    }
    function parse(colour) {
        const parts = colour.match(/[\d.]+/g);
        return parts && parts.length >= 3 ? parts.map(Number) : null;
    }
    function contrast(a, b) {
        const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
        return (high + 0.05) / (low + 0.05);
    }
    // The first ground below an element that is not see-through.
    function groundOf(node) {
        for (; node && node.nodeType === 1; node = node.parentNode) {
            const colour = parse(view.getComputedStyle(node).backgroundColor);
            if (colour && (colour.length < 4 || colour[3] === 1)) return colour;
        }
        return [255, 255, 255];
    }
    function checkContrast(node, ink, ground) {
        const ratio = contrast(ink, ground);
        if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${short(node)}`);
    }
    function checkTexts() {
        const seen = new Set();
        for (const node of page.body.querySelectorAll("*")) {
            const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
            if (!own || node.closest("svg") || !node.checkVisibility()) continue;
            const style = view.getComputedStyle(node);
            const look = style.color + groundOf(node);
            if (!seen.has(look)) checkContrast(node, parse(style.color), groundOf(node));
            seen.add(look);
        }
    }
    function overlap(a, b) {
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        return width > MARGIN && height > 4 * MARGIN; // lines of text stand closer than their boxes
    }
    function checkChart(svg) {
        const frame = svg.getBoundingClientRect();
        const texts = [...svg.querySelectorAll("text")].filter(node => node.checkVisibility() && node.textContent);
        const boxes = texts.map(node => node.getBoundingClientRect());
        texts.forEach((node, i) => {
            const box = boxes[i];
            if (box.left < frame.left - MARGIN || box.right > frame.right + MARGIN || box.top < frame.top - MARGIN ||
                box.bottom > frame.bottom + MARGIN)
                faults.push(`cut off: ${short(node)} in ${svg.getAttribute("aria-label")}`);
            const use = node.closest(".cell")?.querySelector("use");
            const fill = use && !use.classList.contains("hatched") && parse(view.getComputedStyle(use).fill);
            checkContrast(node, parse(view.getComputedStyle(node).fill), fill || groundOf(svg));
            for (let k = 0; k < i; k++)
                if (overlap(box, boxes[k]))
                    faults.push(`overlap: ${short(node)} and ${short(texts[k])} in ${svg.getAttribute("aria-label")}`);
        });
        if (!svg.getAttribute("aria-label")) faults.push("a chart without a sentence");
    }

    if (page.documentElement.scrollWidth > view.innerWidth + MARGIN) {
        const beyond = node => node.getBoundingClientRect().right > view.innerWidth + MARGIN;
        const node = [...page.body.querySelectorAll("*")].find(beyond) || page.body;
        faults.push(`wider than the window by ${page.documentElement.scrollWidth - view.innerWidth}: <${node.localName} class="${node.className}">`);
    }
    for (const svg of page.querySelectorAll("svg[role=img]")) checkChart(svg);
    checkTexts();
    for (const node of page.querySelectorAll("summary, input"))
        if (node.tabIndex < 0) faults.push(`not reached by the keyboard: ${short(node)}`);
    return faults;
}
