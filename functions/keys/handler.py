"""`keys`: the management API behind API Gateway. It can seal a provider key and can open none."""

import asyncio
import os

from mangum import Mangum

from ownkey.catalog import Catalog
from ownkey.catalog.sharing import sharing_terms
from ownkey.http.management import ManagementDeps, create_management_app
from ownkey.http.management.user_pool import UserPool
from ownkey.http.sessions import Sessions, SigningKeys
from ownkey.ledger.activity import Activity
from ownkey.ledger.counters import Counters
from ownkey.ledger.movements import Movements
from ownkey.ledger.records import Records
from ownkey.ledger.rollups import Rollups
from ownkey.ledger.statements import Statements
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.registry.health import HealthBook
from ownkey.registry.key_use import KeyUse
from ownkey.runtime import logs
from ownkey.runtime.freshness import warn_of_stale_prices
from ownkey.runtime.guard import guarded
from ownkey.runtime.settings import KeysSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.functions import Functions
from ownkey.store.kms import Kms
from ownkey.upstream import UrlPolicy
from ownkey.validation.function import ValidationFunction
from ownkey.vault import Sealer

settings = KeysSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
aws = AwsClient(settings.aws_region)
db = DynamoDb(aws)
catalog = Catalog.load(settings.ownkey_upstreams)
warn_of_stale_prices(catalog, os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "keys"))
app = create_management_app(
    ManagementDeps(
        registry=Registry(db, settings.registry_table),
        catalog=catalog,
        sharing=sharing_terms(catalog, settings.sharing_providers, settings.sharing_reward_basis_points),
        sealer=Sealer(Kms(aws), settings.vault_key_id),
        validation=ValidationFunction(Functions(aws), settings.validation_function),
        sessions=Sessions(
            SigningKeys(settings.jwks_url), issuer=settings.session_issuer, client_id=settings.user_pool_client_id
        ),
        user_pool=UserPool(aws, settings.user_pool_id),
        records=Records(db, settings.records_table),
        activity=Activity(db, settings.records_table),
        rollups=Rollups(db, settings.rollups_table),
        movements=Movements(db, settings.rollups_table),
        statements=Statements(db, settings.credits_table, settings.ledger_table),
        counters=Counters(db, settings.counters_table),
        audit=AuditTrail(db, settings.audit_table),
        health=HealthBook(db, settings.health_table),
        key_use=KeyUse(db, settings.health_table),
        url_policy=UrlPolicy(settings.ownkey_allowed_origins),
        imported_gateway_keys=settings.imported_gateway_keys,
        keyless_credentials=settings.keyless_credentials,
        sign_up_credit_nanousd=settings.sign_up_credit_usd,
    )
)
# Mangum runs each event on the current loop: one for the environment's life, to which the connections belong.
asyncio.set_event_loop(asyncio.new_event_loop())
handler = guarded(Mangum(app, lifespan="off"))
