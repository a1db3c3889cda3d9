/** Any publisher can name tenants, so only so many are remembered. One that is forgotten goes first once. */
const MOST_REMEMBERED = 1_000;

/**
 * Whose turn it is among the tenants that wait for the same thing: the tenant that was served longest ago. One that was not
 * served lately goes first, so a single job waits for at most one of each other tenant, however many jobs they have.
 */
export class TenantTurns {
  /** In the order of their last turns. */
  readonly #lastTurns = new Map<string, number>();
  #turns = 0;

  /** Number of the tenant's last turn. The smallest one goes first; 0 for a tenant that had none lately. */
  lastTurn({ tenant = '' }: { readonly tenant?: string | undefined }): number {
    return this.#lastTurns.get(tenant) ?? 0;
  }

  served({ tenant = '' }: { readonly tenant?: string | undefined }): void {
    this.#lastTurns.delete(tenant);
    this.#lastTurns.set(tenant, ++this.#turns);
    if (this.#lastTurns.size <= MOST_REMEMBERED) return;
    const [oldest = ''] = this.#lastTurns.keys();
    this.#lastTurns.delete(oldest);
  }
}
